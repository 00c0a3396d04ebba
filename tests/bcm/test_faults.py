"""Whatever goes wrong on the way to BCM: a clear error, and the cluster is as before or the next run completes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.simulator import Simulator
from tests.harness import Outcome, Snapshot, cluster, run, snapshot

pytestmark = pytest.mark.slow
SITE = "roles: {jobstats: {attach: {categories: [dgx-h100]}, priority: 510}}\n"
APPLY, DESTROY, PLAN = ("apply", "--yes", "-q"), ("destroy", "--yes", "-q"), ("plan", "--detailed-exitcode")
CONNECTIONS = {APPLY: 9, DESTROY: 9, PLAN: 3}
"""cmsh processes of an undisturbed run; a fault is tried at each."""
COMMITS = 2
PIECES = 100
"""More than an undisturbed run prints pieces of output."""
EVENTS = ["dgx-01: Service node_exporter was started", "bcm-head: Check 'ManagedServicesOk' is in state PASS"]
CMSH = "cm/local/apps/cmd/bin/cmsh"


@dataclass
class Lab:
    """One simulated cluster for all tests: every test leaves it as it found it."""

    simulator: Simulator
    before: Snapshot
    applied: Snapshot = field(default_factory=dict)
    connections: dict[tuple[str, ...], int] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.simulator.directory

    def run(self, words: tuple[str, ...]) -> Outcome:
        return run(self.root, *words)

    def counted(self, words: tuple[str, ...]) -> None:
        """An undisturbed run, for comparison."""
        self.simulator.control({"op": "reset_log"})
        outcome = self.run(words)
        assert outcome.status in {0, 2}, outcome.err
        log = self.simulator.control({"op": "log"})["result"]
        self.connections[words] = sum("argv" in entry for entry in log)

    def arm(self, kind: str, **more: Any) -> None:
        self.simulator.control({"op": "fault", "kind": kind, **more})

    def disarm(self) -> list[dict[str, Any]]:
        """Faults that did not strike; what hangs goes on."""
        left: list[dict[str, Any]] = self.simulator.control({"op": "faults"})["result"]
        self.simulator.control({"op": "clear_faults"})
        self.simulator.control({"op": "release"})
        return left

    def site(self, more: str = "") -> None:
        file = self.root / "etc/bcm-jobstats/site.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SITE + more)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with cluster(tmp_path_factory.mktemp("faults") / "head") as simulator:
        lab = Lab(simulator, snapshot(simulator.directory))
        lab.site()
        lab.counted(PLAN)
        lab.counted(APPLY)
        lab.applied = snapshot(lab.root)
        lab.counted(DESTROY)
        assert snapshot(lab.root) == lab.before
        yield lab


@pytest.fixture
def lab(started: Lab) -> Iterator[Lab]:
    yield started
    started.disarm()
    started.site()
    if snapshot(started.root) != started.before:
        started.run(DESTROY)
    assert snapshot(started.root) == started.before, "the test left something behind"


def test_a_fault_is_tried_at_every_connection(lab: Lab) -> None:
    assert lab.connections == CONNECTIONS


def clear(outcome: Outcome, *words: str) -> None:
    """The error names the object and the cause, and what to do about it on a line of its own."""
    first, *rest = [line for line in outcome.err.splitlines() if line.strip()]
    assert first.startswith("bcm-jobstats: ")
    assert [word for word in words if word not in first] == []
    assert [line for line in rest if line.startswith("  ")], "no remedy"
    assert "Traceback" not in outcome.err


def completes(lab: Lab, words: tuple[str, ...] = APPLY) -> None:
    """The same command again, undisturbed, gives the end state of a run that was never disturbed; destroy undoes it."""
    outcome = lab.run(words)
    assert outcome.status == 0, outcome.err
    assert snapshot(lab.root) == (lab.applied if words == APPLY else lab.before)
    assert lab.run(DESTROY).status == 0
    assert snapshot(lab.root) == lab.before


Break = Callable[[Path], None]


def not_executable(file: Path) -> None:
    file.write_text("#!/bin/sh\n")
    file.chmod(0o644)


def not_a_program(file: Path) -> None:
    file.write_bytes(b"\x7fELF is not enough")
    file.chmod(0o755)


def a_directory(file: Path) -> None:
    file.mkdir()


def no_certificate(file: Path) -> None:
    file.write_text("#!/bin/sh\necho 'Unable to open /root/.cm/admin.pem' >&2\nexit 1\n")
    file.chmod(0o755)


BROKEN: dict[str, tuple[Break, str]] = {
    "missing": (lambda file: None, "is neither on PATH nor at"),
    "not executable": (not_executable, "is neither on PATH nor at"),
    "not a program": (not_a_program, "cannot be started"),
    "a directory": (a_directory, "cannot be started"),
    "no certificate": (no_certificate, "Unable to open /root/.cm/admin.pem"),
}


@pytest.mark.parametrize(("broken", "cause"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("words", [APPLY, PLAN, ("init", "--force"), DESTROY], ids=lambda words: words[0])
def test_without_a_cmsh_that_works(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...], broken: Break, cause: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    cmsh = lab.root / CMSH
    cmsh.rename(tmp_path / "kept")
    try:
        broken(cmsh)
        outcome = lab.run(words)
    finally:
        if cmsh.is_dir():
            cmsh.rmdir()
        cmsh.unlink(missing_ok=True)
        (tmp_path / "kept").rename(cmsh)
    assert outcome.status == 69
    clear(outcome, "cmsh", cause)
    assert snapshot(lab.root) == lab.before


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cmsh may take longer than a second, imageupdate included, which has an hour otherwise."""
    real = process.run

    def capped(cmsh: Path, commands: list[str], timeout: float, **more: Any) -> process.Answer:
        return real(cmsh, commands, min(timeout, 1.0), **more)

    monkeypatch.setattr(process, "run", capped)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("nth", range(1, CONNECTIONS[APPLY] + 1))
def test_cmsh_hangs(lab: Lab, nth: int) -> None:
    lab.arm("hang_connect", nth=nth)
    outcome = lab.run(APPLY)
    assert lab.disarm() == []
    assert outcome.status in {1, 69}
    clear(outcome, "gave no answer within 1 seconds")
    if nth <= CONNECTIONS[PLAN]:
        assert outcome.status == 69
        assert snapshot(lab.root) == lab.before
    completes(lab)


def test_how_long_to_wait_is_the_sites_to_say(lab: Lab) -> None:
    lab.site("bcm: {timeout: 250ms}\n")
    lab.arm("hang_connect")
    outcome = lab.run(PLAN)
    assert outcome.status == 69
    clear(outcome, "cmsh", "gave no answer within 0.25 seconds")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("nth", range(1, COMMITS + 1))
def test_a_commit_hangs(lab: Lab, nth: int) -> None:
    lab.arm("hang_commit", nth=nth)
    outcome = lab.run(APPLY)
    assert lab.disarm() == []
    assert outcome.status in {1, 69}
    clear(outcome, ("overlay jobstats", "role generic::jobstats of overlay/jobstats")[nth - 1], "gave no answer")
    completes(lab)


@pytest.mark.parametrize("words", [APPLY, DESTROY], ids=lambda words: words[0])
@pytest.mark.parametrize("nth", range(1, COMMITS + 1))
def test_cmdaemon_refuses_a_commit(lab: Lab, words: tuple[str, ...], nth: int) -> None:
    if words == DESTROY:
        assert lab.run(APPLY).status == 0
    lab.arm("refuse_commit", nth=nth, field="wlmCluster", message="Error: The WLM cluster should be set")
    outcome = lab.run(words)
    assert lab.disarm() == []
    assert outcome.status == 1
    objects = ("overlay jobstats", "role generic::jobstats of overlay/jobstats")
    clear(outcome, objects[nth - 1 if words == APPLY else -nth], "wlmCluster Error: The WLM cluster should be set")
    completes(lab, words)


@pytest.mark.parametrize("words", [APPLY, DESTROY], ids=lambda words: words[0])
@pytest.mark.parametrize("nth", range(1, COMMITS + 1))
def test_the_connection_breaks_before_a_commit(lab: Lab, words: tuple[str, ...], nth: int) -> None:
    if words == DESTROY:
        assert lab.run(APPLY).status == 0
    lab.arm("drop_before_commit", nth=nth)
    outcome = lab.run(words)
    assert lab.disarm() == []
    assert outcome.status == 1
    clear(outcome, "jobstats", "Connection to CMDaemon lost")
    completes(lab, words)


@pytest.mark.parametrize("words", [APPLY, DESTROY], ids=lambda words: words[0])
@pytest.mark.parametrize("nth", range(1, COMMITS + 1))
def test_the_connection_breaks_after_a_commit_which_reading_back_shows(
    lab: Lab, words: tuple[str, ...], nth: int
) -> None:
    if words == DESTROY:
        assert lab.run(APPLY).status == 0
    lab.arm("drop_after_commit", nth=nth)
    outcome = lab.run(words)
    assert lab.disarm() == []
    assert outcome.status == 0, outcome.err
    assert snapshot(lab.root) == (lab.applied if words == APPLY else lab.before)


@pytest.mark.parametrize("nth", range(1, CONNECTIONS[APPLY] + 1))
def test_the_connection_breaks_in_the_middle_of_the_output(lab: Lab, nth: int) -> None:
    """A read is repeated, a write is read back; only what was not done is an error."""
    lab.arm("drop_output", nth=nth, lines=3 if nth <= CONNECTIONS[PLAN] else 0)
    outcome = lab.run(APPLY)
    lab.disarm()
    if outcome.status:
        assert outcome.status == 1 and nth > CONNECTIONS[PLAN]
        clear(outcome, "Connection to CMDaemon lost")
        completes(lab)
    else:
        assert snapshot(lab.root) == lab.applied


@pytest.mark.parametrize("lines", [0, 1, 12])
@pytest.mark.parametrize("words", [PLAN, APPLY], ids=lambda words: words[0])
def test_a_connection_that_breaks_again_and_again_is_given_up(lab: Lab, words: tuple[str, ...], lines: int) -> None:
    for _ in range(3):
        lab.arm("drop_output", lines=lines)
    outcome = lab.run(words)
    assert lab.disarm() == []
    assert outcome.status == 69
    clear(outcome, "CMDaemon", "cmsh got no complete answer")
    assert snapshot(lab.root) == lab.before


@pytest.mark.parametrize("lines", [0, 1, 3])
def test_events_come_in_between_although_they_are_disabled(lab: Lab, lines: int) -> None:
    for _ in range(PIECES):
        lab.arm("events_anyway", lines=lines, texts=EVENTS)
    outcome = lab.run(APPLY)
    assert len(lab.disarm()) <= PIECES - CONNECTIONS[APPLY], "events came nowhere"
    assert outcome.status == 0, outcome.err
    assert snapshot(lab.root) == lab.applied


@pytest.mark.parametrize("words", [PLAN, APPLY, ("status", "--no-prometheus"), ("targets", "list"), DESTROY],
                         ids=lambda words: words[0])  # fmt: skip
def test_cmdaemon_does_not_run(lab: Lab, words: tuple[str, ...]) -> None:
    lab.simulator.stop()
    try:
        outcome = lab.run(words)
    finally:
        Simulator.start(lab.root)
    assert outcome.status == 69
    clear(outcome, "CMDaemon", "Unable to connect to CMDaemon")
    assert snapshot(lab.root) == lab.before
