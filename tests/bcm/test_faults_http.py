"""CMDaemon slow, wrong or half over HTTPS, at each question of a `plan --bcm rest`: what the administrator sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bcm_jobstats.simulator import Simulator
from tests.bcm.adapters import questions
from tests.harness import Outcome, Snapshot, cluster, run, snapshot

pytestmark = pytest.mark.slow
PLAN = ("plan", "--bcm", "rest", "--detailed-exitcode")
QUESTIONS = 7
ATTEMPTS = 3
SITE = "roles: {{jobstats: {{attach: {{categories: [dgx-h100]}}}}}}\nbcm: {{timeout: {}, address: '{}'}}\n"
LOST, WRONG = ("http_cut", "http_status"), ("http_garbage", "http_error")


@dataclass
class Lab:
    """One simulated cluster for all tests; none of them changes it."""

    simulator: Simulator
    before: Snapshot
    expected: Outcome

    def site(self, timeout: str) -> None:
        file = self.simulator.directory / "etc/bcm-jobstats/site.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SITE.format(timeout, self.simulator.https))

    def arm(self, kind: str, **more: Any) -> None:
        self.simulator.control({"op": "fault", "kind": kind, **more})

    def plan(self) -> Outcome:
        return run(self.simulator.directory, *PLAN)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with cluster(tmp_path_factory.mktemp("http") / "head", profile="bcm11") as simulator:
        lab = Lab(simulator, {}, Outcome(0, "", ""))
        lab.site("20s")
        simulator.control({"op": "reset_log"})
        lab.expected = lab.plan()
        assert lab.expected.status == 2, lab.expected.err
        assert len(questions(simulator)) == QUESTIONS
        lab.before = snapshot(simulator.directory)
        yield lab


@pytest.fixture
def lab(started: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    started.site("20s")
    yield started
    assert started.simulator.control({"op": "faults"})["result"] == [], "a fault did not strike"
    started.simulator.control({"op": "release"})
    assert snapshot(started.simulator.directory) == started.before


def clear(outcome: Outcome, status: int, *words: str) -> None:
    """The object and the cause on the first line, what to do about it on the next."""
    assert outcome.status == status, outcome
    assert "Traceback" not in outcome.err and outcome.out == ""
    first, *rest = [line for line in outcome.err.splitlines() if line.strip()]
    assert first.startswith("bcm-jobstats: ") and ": " in first[len("bcm-jobstats: ") :]
    assert [word for word in words if word not in first] == []
    assert [line for line in rest if line.startswith("  ")], "no remedy"


@pytest.mark.parametrize("nth", range(1, QUESTIONS + 1))
@pytest.mark.parametrize("kind", LOST)
def test_an_answer_that_gets_lost_once_is_asked_for_again(lab: Lab, kind: str, nth: int) -> None:
    lab.arm(kind, nth=nth, status=503)
    assert lab.plan() == lab.expected


@pytest.mark.parametrize("nth", range(1, QUESTIONS + 1))
@pytest.mark.parametrize(("kind", "status", "words"), [("http_cut", 1, "broke off"), ("http_status", 69, "503")])
def test_one_that_gets_lost_again_and_again_is_given_up(lab: Lab, kind: str, status: int, words: str, nth: int) -> None:
    for _ in range(ATTEMPTS):
        lab.arm(kind, nth=nth, status=503)
    clear(lab.plan(), status, words)


@pytest.mark.parametrize("nth", range(1, QUESTIONS + 1))
@pytest.mark.parametrize(("kind", "words"), [("http_garbage", "not JSON"), ("http_error", "The database is locked")])
def test_an_answer_that_is_none(lab: Lab, kind: str, words: str, nth: int) -> None:
    lab.arm(kind, nth=nth, message="The database\nis locked\n")
    clear(lab.plan(), 1, words)


@pytest.mark.parametrize("status", [401, 403, 418])
@pytest.mark.parametrize("nth", range(1, QUESTIONS + 1))
def test_a_status_that_is_no_answer(lab: Lab, nth: int, status: int) -> None:
    lab.arm("http_status", nth=nth, status=status)
    clear(lab.plan(), 1, str(status))


@pytest.mark.parametrize("nth", range(1, QUESTIONS + 1))
def test_cmdaemon_hangs(lab: Lab, nth: int) -> None:
    """Asking again would only double the wait."""
    lab.site("400ms")
    lab.arm("http_hang", nth=nth)
    clear(lab.plan(), 69, "within 0.4 seconds")


def test_cmdaemon_is_not_there(lab: Lab) -> None:
    lab.simulator.stop()
    try:
        clear(lab.plan(), 69, "no connection")
    finally:
        Simulator.start(lab.simulator.directory)


def test_nothing_is_changed_over_json(lab: Lab) -> None:
    outcome = run(lab.simulator.directory, "apply", "--bcm", "rest", "--yes", "-q")
    clear(outcome, 69, "--bcm rest")
