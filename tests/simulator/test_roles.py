"""The overlay engine: who has which role, and which services follow (bcm-facts §2, §3)."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event

import pytest

from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.simulator.noderunner import ServiceState, Wish

OVERLAY = (
    "configurationoverlay; add {0}; set categories dgx-h100; roles; assign generic::{0}; set services {0}; commit; home"
)


def roles(cluster: InProcess, node: str) -> dict[str, tuple[str, str, int]]:
    held = cluster.daemon.state.resolver.roles(node)
    return {name: (one.source, one.holder, one.priority) for name, one in held.items()}


def up(cluster: InProcess, node: str) -> list[str]:
    cluster.settled()
    states = cluster.daemon.nodes.runner.states(node)
    return sorted(name for name, state in states.items() if state is ServiceState.UP)


def test_a_fresh_cluster_has_slurm(cluster: InProcess) -> None:
    assert roles(cluster, "dgx-01") == {
        "slurmclient": ("overlay", "slurm-client", 500),
        "slurmsubmit": ("overlay", "slurm-submit", 500),
    }
    assert roles(cluster, "bcm-head")["slurmsubmit"] == ("overlay", "wlm-headnode-submit", 600)
    assert roles(cluster, "bcm-head")["backup"] == ("node", "bcm-head", 750)
    assert "slurmclient" not in roles(cluster, "login-01")


@pytest.mark.parametrize(
    ("priority", "winner"),
    [("500", "overlay"), ("251", "overlay"), ("249", "category"), ("-1", "category"), ("1000", "overlay")],
)
def test_the_highest_priority_wins_over_the_category(cluster: InProcess, priority: str, winner: str) -> None:
    cluster.run("category; roles dgx-h100; assign slurmclient; set wlmcluster slurm; commit; home")
    cluster.run(f"configurationoverlay; use slurm-client; set priority {priority}; commit")
    assert roles(cluster, "dgx-01")["slurmclient"][0] == winner


@pytest.mark.parametrize(("priority", "winner"), [("500", "node"), ("749", "node"), ("751", "overlay")])
def test_the_highest_priority_wins_over_the_node(cluster: InProcess, priority: str, winner: str) -> None:
    """bcm-facts §2."""
    cluster.run("device; roles dgx-01; assign slurmclient; set wlmcluster slurm; commit; home")
    cluster.run(f"configurationoverlay; use slurm-client; set priority {priority}; commit")
    assert roles(cluster, "dgx-01")["slurmclient"][0] == winner
    assert roles(cluster, "dgx-02")["slurmclient"][0] == "overlay"


def test_a_role_counts_as_a_whole(cluster: InProcess) -> None:
    """bcm-facts §2."""
    cluster.run(OVERLAY.format("jobstats"))
    cluster.run("device; roles dgx-01; assign generic::jobstats; commit; home")
    assert up(cluster, "dgx-01") == []
    assert up(cluster, "dgx-02") == ["jobstats"]


def test_nodes_categories_and_heads_are_united(cluster: InProcess) -> None:
    """bcm-facts §2."""
    cluster.run("configurationoverlay; add x; set nodes login-01; set categories dgx-h100; set allheadnodes yes")
    cluster.run("roles; assign generic::x; commit")
    assert cluster.run("device; foreach -l generic::x (get hostname)").split() == [
        *("bcm-head", "dgx-01", "dgx-02", "dgx-03", "dgx-04", "login-01"),
    ]
    assert cluster.run("device; foreach -e x -t headnode -i (get hostname)").split() == ["bcm-head"]


@pytest.mark.parametrize("priority", ["250", "750", "-2", "1001"])
def test_some_priorities_are_forbidden(cluster: InProcess, priority: str) -> None:
    """bcm-facts §2."""
    before = cluster.daemon.state.to_json()
    told = cluster.run(f"configurationoverlay; use slurm-client; set priority {priority}; commit")
    assert told.startswith("Code  Field") and "priority" in told
    assert cluster.daemon.state.to_json() == before
    assert "slurm-client" in cluster.run("modified")


def test_services_start_and_stop_with_the_role(cluster: InProcess) -> None:
    """bcm-facts §3.2, §13 #11."""
    cluster.run(OVERLAY.format("jobstats"))
    assert up(cluster, "dgx-04") == ["jobstats"]
    assert up(cluster, "login-01") == []
    cluster.run("configurationoverlay; use jobstats; roles; use generic::jobstats; set addservices no; commit")
    assert up(cluster, "dgx-04") == []
    cluster.run("set addservices yes; commit")
    assert up(cluster, "dgx-04") == ["jobstats"]
    cluster.run("home; configurationoverlay; remove jobstats; commit")
    assert up(cluster, "dgx-04") == []


def test_every_node_has_the_services_of_its_own_roles(cluster: InProcess) -> None:
    for name in ("dgx-01", "dgx-02", "dgx-03", "dgx-04", "login-01"):
        own = f"roles; assign generic::{name}; set services {name}; commit; home"
        cluster.run(f"configurationoverlay; add {name}; set nodes {name}; {own}")
    for name in ("dgx-01", "dgx-02", "dgx-03", "dgx-04", "login-01"):
        assert up(cluster, name) == [name]


def test_a_service_without_autostart_is_left_alone(cluster: InProcess) -> None:
    cluster.run("device; services dgx-01; add cups; set monitored yes; commit")
    assert up(cluster, "dgx-01") == []
    assert cluster.run("start cups").startswith("Successfully started service cups on: dgx-01")
    cluster.run("exit; remove cups; commit")
    cluster.settled()
    assert cluster.daemon.nodes.runner.states("dgx-01") == {}
    assert all("was stopped" not in event for event in cluster.daemon.events.since(0))


def test_a_roles_service_is_tuned_on_one_node(cluster: InProcess) -> None:
    """bcm-facts §3.3."""
    before = cluster.daemon.state.to_json()
    cluster.run(OVERLAY.format("jobstats"))
    assert "jobstats                 yes        yes" in cluster.run("device; services dgx-01; list")
    assert cluster.run("use jobstats; get belongstorole; set autostart no; commit; get autostart") == "yes\nno\n"
    assert cluster.run("device; services dgx-02; use jobstats; get autostart") == "yes\n"
    cluster.run("home; configurationoverlay; remove jobstats; commit")
    assert cluster.run("device; services dgx-01; list").count("\n") == 2
    assert cluster.daemon.state.to_json() != before  # the node's entry is the administrator's, and stays
    cluster.run("home; device; use dgx-01; services; remove jobstats; commit")
    assert cluster.daemon.state.to_json() == before


def test_services_may_follow_only_at_imageupdate(cluster: InProcess) -> None:
    """bcm-facts §13 #11."""
    cluster.control(op="switch", name="services_follow", value="imageupdate")
    cluster.run(OVERLAY.format("jobstats"))
    assert up(cluster, "dgx-01") == []
    cluster.run("device; imageupdate -n dgx-01")
    assert up(cluster, "dgx-01") == []
    cluster.run("device; imageupdate -n dgx-01 -w --wait")
    assert (up(cluster, "dgx-01"), up(cluster, "dgx-02")) == (["jobstats"], [])


def test_commits_in_a_row_are_followed_together(cluster: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = Event(), Event()

    def pause() -> None:
        begun.set()
        assert go_on.wait(10)

    monkeypatch.setattr(cluster.daemon.nodes, "pause", pause)
    settled: list[int] = []
    settle = cluster.daemon.nodes.runner.settle

    def counted(wanted: Mapping[str, Mapping[str, Wish]]) -> list[str]:
        settled.append(len(wanted))
        return settle(wanted)

    monkeypatch.setattr(cluster.daemon.nodes.runner, "settle", counted)
    for name in ("a", "b", "c"):
        cluster.run(OVERLAY.format(name))
        assert begun.wait(10)
    go_on.set()
    assert up(cluster, "dgx-01") == ["a", "b", "c"]
    assert len(settled) == 1


def test_a_node_that_is_down_runs_nothing(cluster: InProcess) -> None:
    cluster.run(OVERLAY.format("jobstats"))
    cluster.control(op="node", name="dgx-01", state="down")
    assert up(cluster, "dgx-01") == []
    assert cluster.run("device; status dgx-01") == "dgx-01 .............. [  DOWN  ]\n"
    cluster.control(op="node", name="dgx-01", state="up")
    assert up(cluster, "dgx-01") == ["jobstats"]


def test_a_new_category_asks_for_a_restart(cluster: InProcess) -> None:
    cluster.run("device; set dgx-01 category default; commit")
    assert cluster.run("device; status dgx-01") == "dgx-01 .............. [   UP   ] restart-required\n"
    cluster.run("category; set dgx-h100 softwareimage default-image; commit")
    assert "restart-required" in cluster.run("device; status dgx-02")
    assert "restart-required" not in cluster.run("device; status login-01")


@pytest.mark.parametrize("where", ["device; roles dgx-01", "category; roles dgx-h100"])
def test_a_wlm_role_of_a_node_or_category_needs_its_cluster(cluster: InProcess, where: str) -> None:
    assert "The WLM cluster should be set" in cluster.run(f"{where}; assign slurmclient; commit")
    assert cluster.run("set wlmcluster nosuch").startswith("No such wlm")
    assert cluster.run("set wlmcluster slurm; commit") == ""


def test_an_overlays_wlm_role_does_not_need_it(cluster: InProcess) -> None:
    assert cluster.run("configurationoverlay; add x; set allheadnodes yes; roles; assign slurmserver; commit") == ""


def test_a_role_is_assigned_once(cluster: InProcess) -> None:
    told = cluster.run("configurationoverlay; use slurm-client; roles; assign slurmclient")
    assert told == "Role is already assigned: slurmclient\n"


def test_an_imported_role_has_values(cluster: InProcess) -> None:
    cluster.run("configurationoverlay; use slurm-client; roles; use slurmclient; set features a b; commit; home")
    cluster.run("device; roles dgx-01; import --overlay slurm-client slurmclient; commit")
    assert cluster.run("get features") == "a b\n"


def test_generic_roles_may_be_unassignable(cluster: InProcess) -> None:
    cluster.control(op="switch", name="generic_assign", value="no")
    told = cluster.run("configurationoverlay; use slurm-client; roles; assign generic::jobstats; commit; list")
    assert told.startswith("No such role to assign") and told.count("generic::jobstats") == 1


def test_equal_priorities_are_decided_by_the_alphabet(cluster: InProcess) -> None:
    for name in ("b", "a"):
        cluster.run(OVERLAY.format(name))
        cluster.run(f"configurationoverlay; use {name}; roles; assign subnetmanager; commit; home")
    assert roles(cluster, "dgx-01")["subnetmanager"] == ("overlay", "a", 500)
