"""The commands that administrators get in cmsh, typed there (bcm-facts §1.2)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.enable.commands import MARK
from bcm_jobstats.simulator import Simulator
from tests.harness import cluster, run, snapshot

NAMES = ["disable", "drift", "enable", "job", "plan", "status"]


@pytest.fixture
def simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A cluster whose overlay has the administrator's members; `bcm-jobstats` is on PATH, as on a head node."""
    programs = tmp_path / "bin"
    programs.mkdir()
    root = tmp_path / "head"
    script = programs / "bcm-jobstats"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m bcm_jobstats --root {root} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    with cluster(root) as started:
        site = root / "etc/bcm-jobstats/site.yaml"
        site.parent.mkdir(parents=True)
        site.write_text("roles: {jobstats: {attach: {manual: true}}}\nimages: [dgx-image]\n")
        yield started


def applied(simulator: Simulator) -> None:
    outcome = run(simulator.directory, "apply", "--yes", "-q")
    assert outcome.status == 0, outcome.err


def typed(simulator: Simulator, line: str) -> str:
    """What cmsh prints when an administrator types a line; rc files and commands are read."""
    return process.run(simulator.cmsh, [line], 60.0).text


def members(simulator: Simulator) -> list[str]:
    return list(simulator.state()["configurationoverlay"]["jobstats"]["values"].get("nodes", []))


def test_they_come_with_apply_and_go_with_destroy(simulator: Simulator) -> None:
    before = snapshot(simulator.directory)
    applied(simulator)
    folder = simulator.directory / "root/.cm/cmsh"
    assert sorted(path.name for path in folder.iterdir()) == [f"jobstats-{name}.cmsh" for name in NAMES]
    assert all(path.read_text().startswith(MARK) for path in folder.iterdir())
    assert run(simulator.directory, "destroy", "--yes", "-q").status == 0
    assert snapshot(simulator.directory) == before


def test_they_can_be_left_out(simulator: Simulator) -> None:
    applied(simulator)
    site = simulator.directory / "etc/bcm-jobstats/site.yaml"
    site.write_text(site.read_text() + "bcm: {commands: false}\n")
    applied(simulator)
    assert not (simulator.directory / "root/.cm/cmsh").exists()


def test_enable_and_disable_change_the_overlay_in_cmsh(simulator: Simulator) -> None:
    """bcm-facts §1.2: `$1`; §1.5: append and removefrom."""
    applied(simulator)
    typed(simulator, "jobstats-enable dgx-01..dgx-02")
    assert members(simulator) == ["dgx-01", "dgx-02"]
    assert run(simulator.directory, "drift").status == 0, "the members are the administrator's"
    typed(simulator, "jobstats-disable dgx-01")
    assert members(simulator) == ["dgx-02"]


def test_status_lists_the_services_of_every_node_with_the_role(simulator: Simulator) -> None:
    applied(simulator)
    assert "dgx-03" not in typed(simulator, "jobstats-status")
    typed(simulator, "jobstats-enable dgx-03")
    simulator.control({"op": "wait_idle"})
    text = typed(simulator, "jobstats-status")
    assert "dgx-03" in text and "node_exporter" in text and "dgx-01" not in text


def test_plan_and_drift_call_bcm_jobstats(simulator: Simulator) -> None:
    """bcm-facts §1.2: `!`."""
    applied(simulator)
    assert "No changes." in typed(simulator, "jobstats-plan")
    assert "No changes." in typed(simulator, "jobstats-drift")


def test_a_command_does_not_leave_the_administrator_somewhere_else(simulator: Simulator) -> None:
    applied(simulator)
    for name in NAMES:
        assert typed(simulator, f"jobstats-{name} dgx-01; path").strip().splitlines()[-1] == "home;", name


OTHERS = {
    "with_role": ("exporters: {}\n", "slurmclient"),
    "own": ("roles: {jobstats: {attach: {nodes: [dgx-01]}}}\n", "site file"),
    "existing": ("roles: {jobstats: {attach: {overlay: slurm-client}}}\n", "slurm-client"),
}


@pytest.mark.parametrize(("site", "word"), OTHERS.values(), ids=OTHERS)
def test_where_members_are_decided_elsewhere_they_say_so(simulator: Simulator, site: str, word: str) -> None:
    """bcm-facts §1.2 does not tell whose the quotes behind `!` are."""
    (simulator.directory / "etc/bcm-jobstats/site.yaml").write_text(site)
    applied(simulator)
    before = simulator.state()
    assert word in typed(simulator, "jobstats-disable dgx-01")
    assert simulator.state() == before


def test_a_command_of_the_administrators_stays(simulator: Simulator) -> None:
    theirs = simulator.directory / "root/.cm/cmsh/jobstats-plan.cmsh"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("device list\n")
    plan = json.loads(run(simulator.directory, "plan", "--json").out)
    assert [conflict["address"] for conflict in plan["conflicts"]] == ["command.bcm-head/jobstats-plan.cmsh"]
    before = snapshot(simulator.directory)
    assert run(simulator.directory, "apply", "--yes", "-q", "--adopt").status == 0
    assert run(simulator.directory, "destroy", "--yes", "-q").status == 0
    assert snapshot(simulator.directory) == before
