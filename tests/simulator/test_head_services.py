"""Services of head nodes: CMDaemon runs on heads too, and `runif` says on which of a pair (bcm-facts §3.3, §10)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.simulator.layout import HEADS, Layout
from bcm_jobstats.simulator.noderunner import ServiceState, SimulatedNode, Wish
from bcm_jobstats.simulator.processnodes import ProcessNodes
from bcm_jobstats.simulator.services import on_head

ONE, TWO = HEADS[2]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[InProcess]:
    """Both heads have a role that brings a service."""
    made = InProcess(tmp_path, Layout(head=ONE, passive=TWO))
    made.cmsh("-c", "configurationoverlay; add both; set allheadnodes yes; roles; assign scaleserver; commit")
    yield made
    made.close()


def running(pair: InProcess) -> list[str]:
    """The heads on which the service runs."""
    pair.settled()
    states = pair.daemon.nodes.service_states
    return [head for head in (ONE, TWO) if states(head).get("cm-scale") is ServiceState.UP]


def test_a_role_of_all_head_nodes_starts_its_services_on_both(pair: InProcess) -> None:
    """bcm-facts §10."""
    assert running(pair) == [ONE, TWO]
    pair.control(op="head", name=TWO, state="down")
    assert running(pair) == [ONE]
    pair.control(op="head", name=TWO, state="up")
    assert running(pair) == [ONE, TWO]


def test_what_is_set_to_the_active_head_moves_with_a_failover(pair: InProcess) -> None:
    """bcm-facts §3.3 and §10: `runif active` on each head."""
    for head in (ONE, TWO):
        pair.cmsh("-c", f"device services {head}; use cm-scale; set runif active; commit")
    assert running(pair) == [ONE]
    pair.control(op="failover")
    assert running(pair) == [TWO]


RUN_IF = {
    "always": ({ONE, TWO}, {ONE}),
    "active": ({ONE}, {ONE}),
    "passive": ({TWO}, set()),
    "preferpassive": ({TWO}, {ONE}),
}


@pytest.mark.parametrize("run_if", RUN_IF)
def test_where_a_service_runs(run_if: str) -> None:
    """bcm-facts §3.3: while both are up, and while the passive one is down."""
    wish = {"x": Wish(run_if=run_if)}
    both, alone = RUN_IF[run_if]
    assert {head for head in (ONE, TWO) if on_head(wish, head, ONE, TWO)} == both
    assert {head for head in (ONE,) if on_head(wish, head, ONE, "")} == alone


def test_a_head_of_processes_keeps_its_own_tree(tmp_path: Path) -> None:
    head = tmp_path / "head"
    units = head / "etc/systemd/system"
    units.mkdir(parents=True)
    (head / "cm/shared").mkdir(parents=True)
    (units / "x.service").write_text("[Service]\nExecStart=/bin/sleep 1000\n")
    before = sorted(head.rglob("*"))
    runner = ProcessNodes([], heads=[SimulatedNode("head", "127.83.19.1", head)], shared=tmp_path / "shared")
    try:
        assert runner.settle({"head": {"x": Wish()}}) == ["head: Service x was started"]
        assert runner.states("head") == {"x": ServiceState.UP}
        assert set(before) <= set(head.rglob("*")) and not (head / "cm/shared").is_symlink()
        runner.lose_power("head")
        assert runner.pid("head", "x") is None
    finally:
        runner.close()
