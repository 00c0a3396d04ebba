"""JSON, REST and pythoncm over a simulated CMDaemon that answers slowly, wrongly, half, or not to everybody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.bcm.choice import PYTHONCM, REST, choose, client
from bcm_jobstats.bcm.entities import OVERLAY, Cluster, GenericRole, Place
from bcm_jobstats.bcm.errors import Refused, TimedOut, Unreachable, Unreadable
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.bcm.rest.effective import effective_roles
from bcm_jobstats.bcm.rest.errors import Forbidden
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.simulator import Simulator, pki
from tests.bcm.adapters import access, adapter, questions
from tests.harness import cluster

ROLE = GenericRole("generic::jobstats", ("node_exporter",), "bcm-jobstats")
CLIENT = Place(OVERLAY, "slurm-client")
QUESTIONS = 7
"""That a read over JSON asks."""


@pytest.fixture(scope="module", params=["bcm10", "bcm11"])
def simulator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with cluster(tmp_path_factory.mktemp("faults") / "head", profile=request.param) as started:
        yield started


@pytest.fixture(autouse=True)
def clean(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing waits between two attempts; no fault and no change outlives a test."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    before = simulator.state()
    yield
    simulator.control({"op": "release"})
    simulator.control({"op": "clear_faults"})
    assert simulator.state() == before


@pytest.fixture(scope="module")
def expected(simulator: Simulator) -> Cluster:
    return adapter(REST, simulator).read(every_node=True)


def arm(simulator: Simulator, kind: str, **more: Any) -> None:
    simulator.control({"op": "fault", "kind": kind, **more})


def test_a_read_asks_that_much(simulator: Simulator) -> None:
    simulator.control({"op": "reset_log"})
    adapter(REST, simulator).read()
    assert len(questions(simulator)) == QUESTIONS


@pytest.mark.parametrize("nth", range(1, QUESTIONS + 1))
@pytest.mark.parametrize("kind", ["http_cut", "http_status"])
def test_a_question_that_gets_lost_is_asked_again(simulator: Simulator, expected: Cluster, kind: str, nth: int) -> None:
    arm(simulator, kind, nth=nth)
    assert adapter(REST, simulator).read(every_node=True) == expected
    assert simulator.control({"op": "faults"})["result"] == []


@pytest.mark.parametrize("nth", range(1, QUESTIONS + 1))
@pytest.mark.parametrize(("kind", "error"), [("http_garbage", Unreadable), ("http_error", Refused)])
def test_an_answer_that_is_none_is_an_error(
    simulator: Simulator, kind: str, error: type[JobstatsError], nth: int
) -> None:
    arm(simulator, kind, nth=nth, message="The database is locked")
    with pytest.raises(error, match="not JSON" if error is Unreadable else "The database is locked"):
        adapter(REST, simulator).read(every_node=True)


@pytest.mark.parametrize("kind", ["http_cut", "http_status"])
def test_what_gets_lost_again_and_again_is_given_up(simulator: Simulator, kind: str) -> None:
    for _ in range(3):
        arm(simulator, kind)
    with pytest.raises(JobstatsError):
        adapter(REST, simulator).read()
    assert simulator.control({"op": "faults"})["result"] == []


@pytest.mark.parametrize("nth", [1, 4, 7])
def test_a_cmdaemon_that_hangs(simulator: Simulator, nth: int) -> None:
    arm(simulator, "http_hang", nth=nth)
    with pytest.raises(TimedOut, match="within 1 seconds"):
        choose(REST, access(simulator, timeout=1.0)).bcm.read()


def test_a_cmdaemon_that_does_not_run(simulator: Simulator) -> None:
    bcm, address = adapter(REST, simulator), access(simulator)
    simulator.stop()
    try:
        with pytest.raises(Unreachable):
            bcm.read()
        with pytest.raises(Unreachable):
            choose(PYTHONCM, address).bcm.read()
    finally:
        Simulator.start(simulator.directory)


def remove(simulator: Simulator) -> None:
    assert adapter(PYTHONCM, simulator).remove_role(CLIENT, ROLE.name) is None


@pytest.mark.parametrize("nth", range(1, 9))
@pytest.mark.parametrize("kind", ["http_cut", "http_status", "http_garbage", "http_error"])
def test_a_write_that_is_disturbed_is_done_or_an_error_and_goes_on(simulator: Simulator, kind: str, nth: int) -> None:
    """Never half of it, and never a success that is none; the same call completes it."""
    bcm = adapter(PYTHONCM, simulator)
    arm(simulator, kind, nth=nth)
    try:
        found = bcm.save_role(CLIENT, None, ROLE)
    except JobstatsError:
        found = None
    simulator.control({"op": "clear_faults"})
    there = bcm.read([ROLE.name]).generic.get(CLIENT, {}).get(ROLE.name)
    assert there in {None, ROLE}
    assert found in {None, there}
    try:
        assert bcm.save_role(CLIENT, there, ROLE) == ROLE
    finally:
        remove(simulator)


@contextmanager
def certificate(simulator: Simulator, profile: str) -> Iterator[dict[str, Bcm]]:
    """JSON and pythoncm with a certificate of that profile; it lies on the head node, where cmsh finds it."""
    pem, key = simulator.directory / "root/jobstats.pem", simulator.directory / "root/jobstats.key"
    pki.issue(simulator.directory, "jobstats", profile, "root", 1, key, pem)
    allowed = replace(access(simulator), certificate=pem, key=key)
    yield {way: choose(way, allowed).bcm for way in (REST, PYTHONCM)}


def test_a_certificate_that_may_read(simulator: Simulator, expected: Cluster) -> None:
    with certificate(simulator, "readonly") as bcm:
        assert bcm[REST].read(every_node=True) == expected
        assert bcm[PYTHONCM].read(every_node=True).overlays == expected.overlays
        with pytest.raises(Refused):
            bcm[PYTHONCM].save_role(CLIENT, None, ROLE)


@pytest.mark.parametrize("profile", ["node", "bootstrap", "nosuch"])
def test_a_certificate_that_may_not(simulator: Simulator, profile: str) -> None:
    """bcm-facts §8.1 [T]: the answer has HTTP status 200."""
    with certificate(simulator, profile) as bcm, pytest.raises(Forbidden, match="does not allow access"):
        bcm[REST].read()


@pytest.mark.parametrize("service", ["cmpart", "none"])
def test_where_the_calls_of_overlays_are(simulator: Simulator, expected: Cluster, service: str) -> None:
    """bcm-facts §13 #7."""
    simulator.control({"op": "switch", "name": "overlay_calls", "value": service})
    try:
        if service == "none":
            with pytest.raises(Refused, match="overlay-calls"):
                adapter(REST, simulator).read()
        else:
            assert adapter(REST, simulator).read(every_node=True) == expected
    finally:
        simulator.control({"op": "switch", "name": "overlay_calls", "value": "cmdevice"})


@pytest.mark.parametrize(("told", "roles"), [("effective", {"slurmclient", "slurmsubmit"}), ("own", set())])
def test_the_roles_of_a_node(simulator: Simulator, told: str, roles: set[str]) -> None:
    """bcm-facts §13 #9."""
    simulator.control({"op": "switch", "name": "rest_roles", "value": told})
    try:
        found = effective_roles(client(access(simulator)))
    finally:
        simulator.control({"op": "switch", "name": "rest_roles", "value": "effective"})
    assert found["dgx-01"] == roles
    assert set(found["bcm-head"]) >= {"backup", "headnode"}


def test_a_passive_head_sends_to_the_active_one(tmp_path: Path) -> None:
    """bcm-facts §10."""
    with cluster(tmp_path / "head", profile="bcm11", heads=2) as simulator:
        expected = adapter(REST, simulator).read(every_node=True)
        for name, root in simulator.heads().items():
            here = replace(access(simulator), address=(root / "cmd/https").read_text())
            assert choose(REST, here).bcm.read(every_node=True) == expected, name
