"""The whole line on nodes whose services really run: role assigned, exporters answer and are scraped, role taken."""

from __future__ import annotations

import http.client
import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bcm_jobstats.monitoring.prometheus import up
from bcm_jobstats.simulator import Simulator, prometheus
from tests.harness import cluster, cmsh, run, snapshot, until

pytestmark = pytest.mark.slow
JOBS = ("node_exporter", "cgroup_exporter", "gpu_exporter")


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A cluster of two DGX nodes with the jobstats role applied."""
    with cluster(tmp_path_factory.mktemp("cluster") / "head", nodes=2, node_kind="process") as simulator:
        site = simulator.directory / "etc/bcm-jobstats/site.yaml"
        site.parent.mkdir(parents=True)
        site.write_text("prometheus: {scrape_interval: 1s}\n")
        yield simulator


@pytest.fixture
def applied(head: Simulator) -> Iterator[Simulator]:
    """The cluster after `apply`; after the test, as it was before."""
    outcome = run(head.directory, "apply", "--yes", "-q")
    assert outcome.status == 0, outcome.err
    yield head
    outcome = run(head.directory, "destroy", "--yes", "-q")
    assert outcome.status == 0, outcome.err


def targets(simulator: Simulator) -> set[str]:
    directory = simulator.directory / "cm/shared/apps/jobstats/prometheus-targets"
    return {path.name for path in directory.glob("*")} if directory.is_dir() else set()


def metrics(simulator: Simulator, node: str, port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://{simulator.addresses()[node]}:{port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())
    except (OSError, http.client.HTTPException):  # it is stopped in the middle of its answer
        return ""


def serves(simulator: Simulator, node: str, port: int, name: str) -> bool:
    return name in metrics(simulator, node, port)


def service_pids(simulator: Simulator) -> set[int]:
    """Processes of the cluster's nodes, by the node tree they run in."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                inside = (entry / "cwd").resolve().is_relative_to(simulator.directory / "nodes")
            except OSError:
                continue
            if inside and "exporter" in (entry / "cmdline").read_text(errors="replace"):
                found.add(int(entry.name))
    return found


def test_every_exporter_of_every_node_answers_on_its_real_port(applied: Simulator) -> None:
    for node in ("dgx-01", "dgx-02"):
        for port, name in ((9100, "node_"), (9306, "cgroup_"), (9445, "nvidia_gpu_")):
            assert until(partial(serves, applied, node, port, name))
    assert metrics(applied, "login-01", 9100) == ""
    until(lambda: run(applied.directory, "status", "--no-prometheus").status == 0)


def test_the_target_file_is_the_contract_to_the_letter(applied: Simulator) -> None:
    until(lambda: targets(applied) == {"dgx-01.json", "dgx-02.json"})
    file = applied.directory / "cm/shared/apps/jobstats/prometheus-targets/dgx-01.json"
    assert json.loads(file.read_text()) == [
        {"targets": [f"dgx-01:{port}"], "labels": {"job": job, "cluster": "slurm", "hostname": "dgx-01"}}
        for port, job in ((9100, "node_exporter"), (9306, "cgroup_exporter"), (9445, "gpu_exporter"))
    ]


def test_prometheus_scrapes_what_is_registered_and_drops_what_withdraws(applied: Simulator, tmp_path: Path) -> None:
    text = run(applied.directory, "prometheus", "render").out
    configuration = prometheus.translated(text, applied.directory, applied.addresses())
    server = prometheus.start(configuration, tmp_path / "prometheus", prometheus.free_port())
    try:
        until(lambda: up(server.url) == {(n, job): True for n in ("dgx-01", "dgx-02") for job in JOBS}, 60)
        cmsh(applied, "configurationoverlay; use slurm-client; clear categories; set nodes dgx-02; commit")
        until(lambda: set(up(server.url)) == {("dgx-02", job) for job in JOBS}, 60)
    finally:
        server.stop()
        cmsh(applied, "configurationoverlay; use slurm-client; clear nodes; set categories dgx-h100; commit")


def test_taking_the_role_away_stops_everything_and_giving_it_back_starts_it(applied: Simulator) -> None:
    until(lambda: len(targets(applied)) == 2)
    cmsh(applied, "configurationoverlay; use slurm-client; roles; unassign generic::jobstats; commit")
    until(lambda: not targets(applied) and metrics(applied, "dgx-01", 9100) == "" and not service_pids(applied))
    plan = run(applied.directory, "drift")
    assert plan.status == 2
    assert "+ role.overlay/slurm-client/generic::jobstats" in plan.out
    assert run(applied.directory, "apply", "--yes", "-q").status == 0
    until(lambda: len(targets(applied)) == 2)


def test_a_changed_port_reaches_the_running_nodes(applied: Simulator) -> None:
    until(lambda: "node_" in metrics(applied, "dgx-01", 9100) and len(targets(applied)) == 2)
    before = service_pids(applied)
    site = applied.directory / "etc/bcm-jobstats/site.yaml"
    text = site.read_text()
    site.write_text(text + "exporters: {node_exporter: {port: 9101}}\n")
    try:
        outcome = run(applied.directory, "apply", "--yes", "-q")
        assert outcome.status == 0, outcome.err
        until(lambda: "node_" in metrics(applied, "dgx-01", 9101) and metrics(applied, "dgx-01", 9100) == "")
        file = applied.directory / "cm/shared/apps/jobstats/prometheus-targets/dgx-01.json"
        until(lambda: file.exists() and "dgx-01:9101" in file.read_text())
        assert len(before & service_pids(applied)) == 4, "only node_exporter was to be restarted"
    finally:
        site.write_text(text)


def test_a_crashed_exporter_comes_back(applied: Simulator) -> None:
    until(lambda: "node_" in metrics(applied, "dgx-01", 9100) and len(service_pids(applied)) >= 6)
    before = service_pids(applied)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: "node_" in metrics(applied, "dgx-01", 9100) and not before & service_pids(applied))


def test_a_node_that_died_with_the_role_is_pruned(applied: Simulator) -> None:
    until(lambda: len(targets(applied)) == 2)
    applied.control({"op": "node", "name": "dgx-01", "state": "down"})
    cmsh(applied, "configurationoverlay; use slurm-client; clear categories; set nodes dgx-02; commit")
    assert {r["node"]: r["state"] for r in json.loads(run(applied.directory, "targets", "list", "--json").out)} == {
        "dgx-01": "stale",
        "dgx-02": "ok",
    }
    assert run(applied.directory, "targets", "sync").status == 0
    assert targets(applied) == {"dgx-02.json"}
    applied.control({"op": "node", "name": "dgx-01", "state": "up"})
    cmsh(applied, "configurationoverlay; use slurm-client; clear nodes; set categories dgx-h100; commit")
    until(lambda: len(targets(applied)) == 2)


def test_destroy_leaves_the_nodes_as_they_were(head: Simulator) -> None:
    before = snapshot(head.directory)
    assert run(head.directory, "apply", "--yes", "-q").status == 0
    until(lambda: len(targets(head)) == 2)
    outcome = run(head.directory, "destroy", "--yes", "-q")
    assert outcome.status == 0, outcome.err
    assert snapshot(head.directory) == before
    until(lambda: not service_pids(head))
