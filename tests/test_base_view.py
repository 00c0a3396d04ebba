"""Assignment in Base View: it saves whole entities over JSON (bcm-facts §8.1); all follows as after a cmsh commit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.bcm.rest.client import Client
from bcm_jobstats.simulator import Simulator
from tests.harness import cluster, run, until

pytestmark = pytest.mark.slow
SITE = """\
roles: {jobstats: {attach: {manual: true}}}
images: [dgx-image]
exporters: {nvidia_gpu_exporter: {enabled: false}}
"""


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    """Real processes on two nodes; the overlay is ours and empty."""
    with cluster(tmp_path, nodes=2, node_kind="process") as started:
        (tmp_path / "etc/bcm-jobstats").mkdir(parents=True, exist_ok=True)
        (tmp_path / "etc/bcm-jobstats/site.yaml").write_text(SITE)
        outcome = run(tmp_path, "apply", "--yes", "-q")
        assert outcome.status == 0, outcome.err
        yield started


def base_view(simulator: Simulator, **changed: Any) -> None:
    """Open the overlay, change something, save: the entity goes back whole."""
    own = simulator.directory / "root/.cm"
    ca = simulator.directory / "cm/local/apps/cmd/etc/cacert.pem"
    client = Client(simulator.https, own / "admin.pem", own / "admin.key", ca, 30.0)
    overlays = client.call("cmdevice", "getConfigurationOverlays")
    entity = next(entity for entity in overlays if entity["name"] == "jobstats")
    answer = client.call("cmdevice", "updateConfigurationOverlay", {**entity, **changed, "modified": True})
    assert answer["success"], answer


def running(simulator: Simulator, node: str) -> bool:
    states = simulator.control({"op": "services", "node": node})["result"]
    return set(states) >= {"node_exporter", "cgroup_exporter", "jobstats-target"} and set(states.values()) == {"UP"}


def registered(simulator: Simulator) -> list[str]:
    folder = simulator.directory / "cm/shared/apps/jobstats/prometheus-targets"
    return sorted(path.stem for path in folder.glob("*.json"))


def reference(simulator: Simulator, node: str) -> str:
    """How JSON refers to a node here."""
    own = simulator.directory / "root/.cm"
    ca = simulator.directory / "cm/local/apps/cmd/etc/cacert.pem"
    devices = Client(simulator.https, own / "admin.pem", own / "admin.key", ca, 30.0).call("cmdevice", "getDevices")
    return str(next(d.get("uuid") or d["uniqueKey"] for d in devices if d["hostname"] == node))


def test_nodes_put_into_the_overlay_run_the_exporters_and_register(simulator: Simulator) -> None:
    """bcm-facts §8.1: updates are whole entities."""
    base_view(simulator, nodes=[reference(simulator, "dgx-01")])
    until(lambda: running(simulator, "dgx-01") and registered(simulator) == ["dgx-01"])
    assert run(simulator.directory, "plan", "--detailed-exitcode").status == 0, "the members are the administrator's"
    status = json.loads(run(simulator.directory, "status", "--no-prometheus", "--json").out)
    assert [(row["node"], row["ok"]) for row in status] == [("dgx-01", True)]
    base_view(simulator, nodes=[])
    until(lambda: registered(simulator) == [] and not running(simulator, "dgx-01"))


def test_a_role_that_base_view_changed_is_drift_and_is_put_right(simulator: Simulator) -> None:
    base_view(simulator, nodes=[reference(simulator, "dgx-02")])
    until(lambda: running(simulator, "dgx-02"))
    base_view(simulator, roles=[])
    until(lambda: registered(simulator) == [])
    drift = run(simulator.directory, "drift", "--json")
    assert drift.status == 2
    changes = json.loads(drift.out)["changes"]
    assert [change["address"] for change in changes] == ["role.overlay/jobstats/generic::jobstats"]
    assert run(simulator.directory, "apply", "--yes", "-q").status == 0
    until(lambda: running(simulator, "dgx-02") and registered(simulator) == ["dgx-02"])


def test_the_overlay_removed_in_base_view_stops_everything_and_comes_back(simulator: Simulator) -> None:
    base_view(simulator, nodes=[reference(simulator, "dgx-01")])
    until(lambda: running(simulator, "dgx-01"))
    base_view(simulator, priority=-1)
    until(lambda: registered(simulator) == [])
    base_view(simulator, priority=500)
    until(lambda: running(simulator, "dgx-01") and registered(simulator) == ["dgx-01"])
