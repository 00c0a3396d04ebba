"""Faults that a test arms: each strikes once, at the Nth occasion."""

from __future__ import annotations

import pytest

from bcm_jobstats.simulator.cmds import Session
from bcm_jobstats.simulator.inprocess import InProcess

SET = "configurationoverlay; set slurm-client revision {}; commit"
GET = "configurationoverlay; get slurm-client revision"


def test_the_nth_commit_is_refused_with_a_table(cluster: InProcess) -> None:
    cluster.control(op="fault", kind="refuse_commit", nth=2, field="nodes", message="No")
    assert cluster.cmsh("-n", "-c", SET.format(1)).out == ""
    assert cluster.cmsh("-n", "-c", SET.format(2)).out.splitlines()[2].split() == ["1", "nodes", "No"]
    assert cluster.cmsh("-n", "-c", GET).out == "1\n"
    assert cluster.cmsh("-n", "-c", SET.format(3) + "; get slurm-client revision").out == "3\n"
    assert cluster.control(op="faults") == []


@pytest.mark.parametrize(("kind", "kept"), [("drop_before_commit", "\n"), ("drop_after_commit", "1\n")])
def test_the_connection_breaks_around_a_commit(cluster: InProcess, kind: str, kept: str) -> None:
    cluster.control(op="fault", kind=kind)
    assert cluster.cmsh("-n", "-c", SET.format(1)).status is None
    assert cluster.cmsh("-n", "-c", GET).out == kept


def test_events_come_even_when_disabled(cluster: InProcess) -> None:
    cluster.control(op="fault", kind="events", texts=["node001: one"])
    assert cluster.cmsh("-n", "--disable-events", "-c", GET).out == "\n"
    assert "node001: one" in cluster.cmsh("-n", "-c", GET).out
    cluster.control(op="fault", kind="events_anyway", texts=["node001: two"])
    assert "node001: two" in cluster.cmsh("-n", "--disable-events", "-c", GET).out


def test_events_come_in_the_middle_of_a_table(cluster: InProcess) -> None:
    cluster.control(op="fault", kind="events", texts=["node001: one", "node001: two"], lines=2)
    lines = cluster.cmsh("-n", "-c", "category; list").out.splitlines()
    assert lines[2].endswith("[notice] node001: one") and lines[3].endswith("[notice] node001: two")
    assert lines[4].startswith("default") and len(lines) == 7


def test_a_client_that_is_gone_commits_nothing(cluster: InProcess) -> None:
    def gone(text: str) -> None:
        raise BrokenPipeError(text)

    session = Session(cluster.daemon, gone)
    with pytest.raises(BrokenPipeError):
        session.run_line(SET.format(1))
    assert cluster.cmsh("-n", "-c", GET).out == "\n"


def test_what_is_kept_at_the_end_can_be_refused(cluster: InProcess) -> None:
    cluster.control(op="switch", name="uncommitted", value="keep")
    assert cluster.cmsh("-n", "-c", "configurationoverlay; set slurm-client priority 250").status == 0
    assert cluster.cmsh("-n", "-c", "configurationoverlay; get slurm-client priority").out == "500\n"


def test_the_log_tells_runs_and_commits(cluster: InProcess) -> None:
    cluster.cmsh("-n", "-c", SET.format(1))
    assert cluster.control(op="log") == [
        {"argv": ["-n", "-c", SET.format(1)]},
        {"commit": ["configurationoverlay slurm-client"]},
    ]
    cluster.control(op="reset_log")
    assert cluster.control(op="log") == []


@pytest.mark.parametrize(
    "order",
    [
        {"op": "nosuch"},
        {"op": "fault", "kind": "nosuch"},
        {"op": "switch", "name": "exit_status", "value": "nosuch"},
        {"op": "switch", "name": "settle_delay", "value": "soon"},
        {"op": "node", "name": "nosuch", "state": "up"},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(cluster: InProcess, order: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"simulator|could not convert"):
        cluster.control(**order)
