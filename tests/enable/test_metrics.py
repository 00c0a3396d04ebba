"""BCM samples the exporters too: monitoring data producers, off by default (bcm-facts §9, AM11 App. L)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.simulator import Simulator
from tests.harness import cluster, cmsh, run, snapshot

ON = "bcm: {metrics: true}\n"
SITES = {
    "overlay": ON,
    "category": ON + "roles: {jobstats: {attach: {categories: [dgx-h100, login]}}}\n",
    "nodes": ON + "roles: {jobstats: {attach: {nodes: ['dgx-[01-02]']}}}\n",
}
SERVICES = "enable: {mode: services}\n"


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    with cluster(tmp_path) as started:
        (tmp_path / "etc/bcm-jobstats").mkdir(parents=True, exist_ok=True)
        yield started


def site(simulator: Simulator, text: str) -> None:
    (simulator.directory / "etc/bcm-jobstats/site.yaml").write_text(text)


def producers(simulator: Simulator) -> dict[str, Any]:
    table = simulator.state().get("monitoring", {})
    return {name: producer for name, producer in table.items() if name.startswith("jobstats-")}


def test_they_are_off_by_default(simulator: Simulator) -> None:
    site(simulator, "exporters: {}\n")
    assert run(simulator.directory, "apply", "--yes", "-q").status == 0
    assert producers(simulator) == {}


@pytest.mark.parametrize("text", SITES.values(), ids=SITES)
def test_one_for_each_exporter_where_its_role_is(simulator: Simulator, text: str) -> None:
    """bcm-facts §9; AM11 App. L: filters by overlay, category and node."""
    site(simulator, text)
    before = snapshot(simulator.directory)
    outcome = run(simulator.directory, "apply", "--yes", "-q")
    assert outcome.status == 0, outcome.err
    found = producers(simulator)
    assert sorted(found) == ["jobstats-cgroup_exporter", "jobstats-node_exporter", "jobstats-nvidia_gpu_exporter"]
    assert found["jobstats-node_exporter"]["values"]["urls"] == ["http://localhost:9100/metrics"]
    filters = found["jobstats-node_exporter"]["children"]["nodeexecutionfilters"]
    assert len(filters) == 1
    assert run(simulator.directory, "plan", "--detailed-exitcode").status == 0
    assert run(simulator.directory, "destroy", "--yes", "-q").status == 0
    assert snapshot(simulator.directory) == before


def test_they_follow_the_site_and_go_when_it_says_so(simulator: Simulator) -> None:
    site(simulator, ON)
    assert run(simulator.directory, "apply", "--yes", "-q").status == 0
    site(simulator, ON + "exporters: {node_exporter: {port: 9101}}\n")
    assert run(simulator.directory, "apply", "--yes", "-q").status == 0
    assert producers(simulator)["jobstats-node_exporter"]["values"]["urls"] == ["http://localhost:9101/metrics"]
    site(simulator, "exporters: {}\n")
    assert run(simulator.directory, "apply", "--yes", "-q").status == 0
    assert producers(simulator) == {}


def test_an_administrators_producer_is_a_conflict_and_is_given_back(simulator: Simulator) -> None:
    cmsh(simulator, "monitoring setup; add prometheus jobstats-node_exporter; set urls http://a:1/metrics; commit")
    site(simulator, ON)
    plan = json.loads(run(simulator.directory, "plan", "--json").out)
    assert [conflict["address"] for conflict in plan["conflicts"]] == ["producer.jobstats-node_exporter"]
    before = snapshot(simulator.directory)
    assert run(simulator.directory, "apply", "--yes", "-q", "--adopt").status == 0
    assert run(simulator.directory, "destroy", "--yes", "-q").status == 0
    assert snapshot(simulator.directory) == before


def test_without_generic_roles_they_name_categories_and_not_an_overlay_that_is_not_made(simulator: Simulator) -> None:
    site(simulator, SERVICES + SITES["category"])
    before = snapshot(simulator.directory)
    assert run(simulator.directory, "apply", "--yes", "-q").status == 0
    assert "jobstats" not in simulator.state()["configurationoverlay"]
    filters = producers(simulator)["jobstats-node_exporter"]["children"]["nodeexecutionfilters"]
    assert sorted(filters) == ["category-dgx-h100", "category-login"]
    assert run(simulator.directory, "destroy", "--yes", "-q").status == 0
    assert snapshot(simulator.directory) == before


@pytest.mark.parametrize("text", [ON, SERVICES + "roles: {jobstats: {attach: {nodes: [dgx-01]}}}\n"])
def test_destroy_finds_all_of_ours_when_site_file_and_journal_are_lost(simulator: Simulator, text: str) -> None:
    """Producers, and services of single nodes: nothing but BCM tells of them then."""
    site(simulator, text)
    before = snapshot(simulator.directory)
    assert run(simulator.directory, "apply", "--yes", "-q").status == 0
    (simulator.directory / "etc/bcm-jobstats/site.yaml").unlink()
    shutil.rmtree(simulator.directory / "var/lib/bcm-jobstats")
    assert run(simulator.directory, "destroy", "--yes", "-q").status == 0
    assert snapshot(simulator.directory) == before


def test_over_rest_they_are_left_out_of_the_plan_and_it_says_so(simulator: Simulator) -> None:
    site(simulator, f"bcm: {{metrics: true, address: '{simulator.https}'}}\n")
    assert run(simulator.directory, "apply", "--yes", "-q").status == 0
    outcome = run(simulator.directory, "--bcm", "rest", "plan", "--json")
    assert outcome.status == 0, outcome.err
    plan = json.loads(outcome.out)
    assert plan["changes"] == []
    assert [note for note in plan["notes"] if "bcm.metrics" in note]


def test_a_filter_that_an_administrator_added_stays(simulator: Simulator) -> None:
    site(simulator, ON)
    assert run(simulator.directory, "apply", "--yes", "-q").status == 0
    cmsh(
        simulator,
        "monitoring setup; use jobstats-node_exporter; nodeexecutionfilters; add node some; set nodes login-01; commit",
    )
    assert run(simulator.directory, "plan", "--detailed-exitcode").status == 0
    site(simulator, ON + "exporters: {node_exporter: {port: 9101}}\n")
    outcome = run(simulator.directory, "apply", "--yes", "-q")
    assert outcome.status == 0, outcome.err
    assert "some" in producers(simulator)["jobstats-node_exporter"]["children"]["nodeexecutionfilters"]
