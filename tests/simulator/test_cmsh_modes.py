"""Modes beside those of nodes, overlays and images: monitoring, partition, network, profile (bcm-facts §9, §10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.simulator.layout import Layout


@pytest.mark.parametrize(
    ("filters", "nodes"),
    [
        ("", "bcm-head,dgx-01..dgx-04,login-01"),
        ("add node x; set nodes dgx-01 dgx-02", "dgx-01,dgx-02"),
        ("add category x; set categories login", "login-01"),
        ("add overlay x; set overlays slurm-client", "dgx-01..dgx-04"),
        ("add type x; set types HeadNode", "bcm-head"),
        ("active", "bcm-head"),
        ("add lua x", ""),
        ("active; add node x; set nodes login-01", "bcm-head,login-01"),
    ],
)
def test_where_a_producer_runs(cluster: InProcess, filters: str, nodes: str) -> None:
    cluster.run(f"monitoring setup; add prometheus x; nodeexecutionfilters; {filters}; commit; home")
    assert cluster.run("monitoring setup; nodes x") == nodes + "\n"


@pytest.mark.parametrize(
    "line",
    ["add x", "add nosuch x", "use dmesg; nodeexecutionfilters; add nosuch y", "nodes nosuch", "setup", "active"],
)
def test_what_makes_no_sense_among_producers_is_refused(cluster: InProcess, line: str) -> None:
    cluster.run(f"monitoring setup; {line}")
    assert cluster.session.failed
    assert cluster.session.drafts.pending() == []


def test_a_producer_is_kept_and_removed(cluster: InProcess) -> None:
    before = cluster.daemon.state.to_json()
    cluster.run("monitoring setup; add prometheus x; set urls http://a:1/m http://b:1/m; set interval 60; commit")
    assert cluster.run("get urls; get type") == "http://a:1/m http://b:1/m\nPrometheusProducer\n"
    assert cluster.run("exit; remove x; commit").startswith("Successfully removed 1 ")
    assert cluster.daemon.state.to_json() == before


def test_networks_and_the_partition_are_listed(cluster: InProcess) -> None:
    assert '"name (key)": "internalnet"' in cluster.run("network list -f name,netmaskbits -d {}")
    assert '"name (key)": "base"' in cluster.run("partition list -f name -d {}")
    assert cluster.run("cert; list") != "" and cluster.session.failed


def test_one_head_has_no_failover(cluster: InProcess) -> None:
    assert "not a high availability cluster" in cluster.run("partition failover base; status")
    cluster.run("makeactive")
    assert cluster.session.failed


def test_a_failover_ordered_in_cmsh_ends_its_session(tmp_path: Path) -> None:
    cluster = InProcess(tmp_path, Layout(head="a", passive="b"))
    try:
        answer = cluster.cmsh(
            "-n", "-c", "partition failover base; makeactive b; home; device get a category", head="a"
        )
        assert (cluster.daemon.ha.active, answer.status) == ("b", None)
        assert cluster.cmsh("-n", "-c", "partition failover base; status", head="b").out.count("b*") == 2
        refused = cluster.cmsh("-n", "-r", "-c", "partition; set base clustername x; commit", head="a")
        assert refused.out != ""
        assert cluster.cmsh("-n", "-c", "partition; get base clustername", head="a").out == "BCM Cluster\n"
    finally:
        cluster.close()
