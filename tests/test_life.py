"""What happens over a deployment's life: settings change, journals are lost, administrators do things meanwhile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.simulator import Simulator
from tests.harness import Outcome, cluster, cmsh, run, snapshot, until

UNIT = "cm/images/dgx-image/etc/systemd/system/node_exporter.service"
TARGETS = "cm/shared/apps/jobstats/prometheus-targets"


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    with cluster(tmp_path / "head", nodes=2) as simulator:
        site(simulator, "")
        yield simulator


def site(simulator: Simulator, text: str) -> None:
    file = simulator.directory / "etc/bcm-jobstats/site.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def ok(simulator: Simulator, *words: str) -> Outcome:
    outcome = run(simulator.directory, *words)
    assert outcome.status == 0, outcome.err
    return outcome


def settled(simulator: Simulator) -> None:
    """Nothing is left to do after one apply."""
    ok(simulator, "apply", "--yes", "-q")
    assert run(simulator.directory, "drift").status == 0


CHANGES = {
    "attach: other form": "roles: {jobstats: {attach: {categories: [dgx-h100]}}}",
    "attach: single nodes": "roles: {jobstats: {attach: {nodes: [dgx-01]}}}",
    "attach: manual": "roles: {jobstats: {attach: {manual: true}}}",
    "overlay renamed": "roles: {jobstats: {attach: {overlay: js, categories: [dgx-h100]}}}",
    "role disabled": "roles: {jobstats: {enabled: false}}",
    "another role too": "roles: {jobstats: {}, dcgm-exporter: {}}",
    "services instead": "enable: {mode: services}",
    "services of nodes": "{enable: {mode: services}, roles: {jobstats: {attach: {nodes: [dgx-01]}}}}",
    "port": "exporters: {node_exporter: {port: 9101}}",
    "user's number": "user: {uid: 500}",
    "user's name": "user: {name: exporters}",
    "targets directory": "targets: {directory: /cm/shared/monitoring/targets}",
    "cluster": "cluster: other",
}


@pytest.mark.parametrize("text", CHANGES.values(), ids=CHANGES.keys())
def test_one_apply_follows_any_change_of_the_site_file_and_back(simulator: Simulator, text: str) -> None:
    before = snapshot(simulator.directory)
    settled(simulator)
    first = snapshot(simulator.directory)
    site(simulator, text)
    settled(simulator)
    site(simulator, "")
    settled(simulator)
    assert snapshot(simulator.directory) == first
    ok(simulator, "destroy", "--yes", "-q")
    assert snapshot(simulator.directory) == before


def test_rollback_leaves_what_an_administrator_made_meanwhile(simulator: Simulator) -> None:
    ok(simulator, "apply", "--yes", "-q")
    ok(simulator, "destroy", "--yes", "-q")
    unit = simulator.directory / UNIT
    unit.write_text("mine\n")
    cmsh(
        simulator, "configurationoverlay; use slurm-client; roles; assign generic::jobstats; set services cups; commit"
    )
    before = snapshot(simulator.directory)
    ok(simulator, "rollback", "1", "--yes", "-q")
    assert snapshot(simulator.directory) == before
    outcome = run(simulator.directory, "rollback", "2", "--yes", "-q")
    assert outcome.status == 1
    assert "--adopt" in outcome.err
    assert snapshot(simulator.directory) == before


def test_what_was_adopted_is_given_back_although_the_journal_is_lost(simulator: Simulator) -> None:
    (simulator.directory / UNIT).write_text("mine\n")
    before = snapshot(simulator.directory)
    ok(simulator, "apply", "--yes", "--adopt", "-q")
    shutil.rmtree(simulator.directory / "var/lib/bcm-jobstats")
    ok(simulator, "destroy", "--yes", "-q")
    assert snapshot(simulator.directory) == before


def test_target_files_of_an_administrator_are_left_alone(simulator: Simulator) -> None:
    ok(simulator, "apply", "--yes", "-q")
    directory = simulator.directory / TARGETS
    theirs = {"pdu1.json": '[{"targets": ["pdu1:161"], "labels": {"job": "snmp"}}]', "my+list.json": "[]"}
    for name, text in {**theirs, "dgx-99.json": _ours("dgx-99"), "dgx-01.json": "{broken"}.items():
        (directory / name).write_text(text)
    listed = json.loads(ok(simulator, "targets", "list", "--json").out)
    states = {row["node"]: row["state"] for row in listed}
    assert states == {"dgx-01": "damaged", "dgx-99": "stale", "pdu1": "foreign", "my": "foreign"}
    ok(simulator, "targets", "sync", "-q")
    assert {path.name for path in directory.iterdir()} == {*theirs, "dgx-01.json"}
    (directory / "dgx-01.json").unlink()
    ok(simulator, "destroy", "--yes", "-q")
    assert {path.name: path.read_text() for path in directory.iterdir()} == theirs


def _ours(host: str) -> str:
    labels = {"job": "node_exporter", "cluster": "slurm", "hostname": host}
    return json.dumps([{"targets": [f"{host}:9100"], "labels": labels}], indent=2) + "\n"  # as nodes write it


def test_a_role_on_a_single_node_is_found_when_the_site_no_longer_wants_it(simulator: Simulator) -> None:
    cmsh(simulator, "device; use login-01; roles; assign slurmclient; set wlmcluster slurm; commit")
    site(simulator, "roles: {jobstats: {}, dcgm-exporter: {}}")
    before = snapshot(simulator.directory)
    settled(simulator)
    assert "generic::dcgm-exporter" in json.dumps(simulator.state()["device"]["login-01"])
    site(simulator, "")
    settled(simulator)
    assert "generic::dcgm-exporter" not in json.dumps(simulator.state()["device"])
    site(simulator, "nonsense: [")
    ok(simulator, "destroy", "--yes", "-q")
    assert snapshot(simulator.directory) == before


def test_destroy_needs_no_site_file(simulator: Simulator) -> None:
    before = snapshot(simulator.directory)
    ok(simulator, "apply", "--yes", "-q")
    site(simulator, "nonsense: [")
    ok(simulator, "destroy", "--yes", "-q")
    assert snapshot(simulator.directory) == before


def test_the_new_place_has_the_role_before_the_old_one_loses_it(simulator: Simulator) -> None:
    ok(simulator, "apply", "--yes", "-q")
    site(simulator, "roles: {jobstats: {attach: {categories: [dgx-h100]}}}")
    changes = [change["address"] for change in json.loads(ok(simulator, "plan", "--json").out)["changes"]]
    new, old = "role.overlay/jobstats/generic::jobstats", "role.overlay/slurm-client/generic::jobstats"
    assert changes.index(new) < changes.index(old)


def test_a_manual_overlay_with_members_is_let_go_and_the_plan_says_so(simulator: Simulator) -> None:
    site(simulator, "roles: {jobstats: {attach: {manual: true}}}")
    ok(simulator, "apply", "--yes", "-q")
    cmsh(simulator, "configurationoverlay; use jobstats; set nodes dgx-02; commit")
    outcome = ok(simulator, "destroy", "--yes", "-q")
    assert "~ overlay.jobstats  (let go" in outcome.out
    overlay = simulator.state()["configurationoverlay"]["jobstats"]
    assert "bcm-jobstats" not in json.dumps(overlay)
    assert "dgx-02" in json.dumps(overlay)


def test_a_journal_that_cannot_be_read_is_named(simulator: Simulator) -> None:
    ok(simulator, "apply", "--yes", "-q")
    (simulator.directory / "var/lib/bcm-jobstats/generations/0001/plan.json").write_text("{")
    outcome = run(simulator.directory, "plan")
    assert outcome.status == 1
    assert "0001/plan.json" in outcome.err


@pytest.mark.slow
def test_running_nodes_move_to_a_new_targets_directory(tmp_path: Path) -> None:
    with cluster(tmp_path / "head", nodes=1, node_kind="process") as simulator:
        site(simulator, "")
        before = snapshot(simulator.directory)
        ok(simulator, "apply", "--yes", "-q")
        old, new = (simulator.directory / path for path in (TARGETS, "cm/shared/monitoring/targets"))
        until((old / "dgx-01.json").exists)
        site(simulator, "targets: {directory: /cm/shared/monitoring/targets}")
        ok(simulator, "apply", "--yes", "-q")
        until((new / "dgx-01.json").exists)
        assert not old.exists()
        ok(simulator, "destroy", "--yes", "-q")
        assert snapshot(simulator.directory) == before
