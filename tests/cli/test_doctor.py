"""doctor without options, on the simulated BCM: keys and Slurm's configuration, by severity."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.trees import DEFAULT_MANIFEST
from bcm_jobstats.simulator import Simulator
from tests.harness import cluster, cmsh, run, snapshot

VERSIONS = {"node_exporter": "1.9.1", "cgroup_exporter": "0.3.3", "nvidia_gpu_exporter": "0.2.2"}
SOUND = yaml.safe_load((Path(__file__).parents[1] / "assets/slurm/sound.yaml").read_text())


@pytest.fixture(scope="module", params=("bcm10", "bcm11"))
def simulator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with cluster(tmp_path_factory.mktemp("doctor") / "head", profile=request.param) as started:
        manifest = Manifest(started.directory / "cm/images/dgx-image", DEFAULT_MANIFEST)
        for name, version in VERSIONS.items():
            manifest.entries[f"/usr/local/bin/{name}"] = {"type": "program", "version": version}
        manifest.save()
        yield started


@pytest.fixture
def etc(simulator: Simulator) -> Path:
    """Where BCM says that slurm.conf lies, with a sound configuration."""
    path = process.run(simulator.cmsh, ["wlm; use slurm; get etc"], 30.0).text.strip()
    told = simulator.directory / path.lstrip("/")
    told.mkdir(parents=True, exist_ok=True)
    for name in ("slurm", "gres", "cgroup"):
        (told / f"{name}.conf").write_text(SOUND[name])
    return told


def test_no_problem(simulator: Simulator, etc: Path) -> None:
    before = snapshot(simulator.directory)
    outcome = run(simulator.directory, "doctor")
    assert outcome.status == 0
    assert outcome.out == "20 checks, no problem found.\n"
    assert snapshot(simulator.directory) == before
    assert json.loads(run(simulator.directory, "doctor", "--json").out) == {"checks": 20, "findings": []}


def test_findings_are_grouped_by_severity(simulator: Simulator, etc: Path) -> None:
    """A line for each finding, one for what to do, and a count; exit status 1 when one is an error."""
    text = SOUND["slurm"].replace("Alloc,Contain", "Alloc").replace("proctrack/cgroup", "proctrack/pgid")
    (etc / "slurm.conf").write_text(text)
    (etc / "cgroup.conf").unlink()
    outcome = run(simulator.directory, "doctor")
    assert outcome.status == 1
    lines = outcome.out.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")] == [
        "errors:",
        "warnings:",
        "notes:",
        "20 checks, 1 error, 2 warnings, 1 note.",
    ]
    assert lines[1].startswith(f"  {etc}/slurm.conf:3: ProctrackType is proctrack/pgid")
    assert lines[2].startswith("    slurm: {manage_conf: yes}")
    told = json.loads(run(simulator.directory, "doctor", "--json").out)["findings"]
    assert [one["severity"] for one in told] == ["error", "warning", "warning", "note"]
    assert told[0].keys() == {"severity", "subject", "cause", "remedy"}


def test_warnings_are_no_failure(simulator: Simulator, etc: Path) -> None:
    (etc / "cgroup.conf").unlink()
    outcome = run(simulator.directory, "doctor")
    assert outcome.status == 0
    assert outcome.out.endswith("20 checks, 2 warnings.\n")


def test_without_slurm(simulator: Simulator, etc: Path) -> None:
    for file in etc.iterdir():
        file.unlink()
    outcome = run(simulator.directory, "doctor")
    assert outcome.status == 0
    assert f"{etc}/slurm.conf: is not there: no Slurm" in outcome.out
    assert outcome.out.endswith("2 checks, no problem found, 1 note.\n")


def test_the_programs_of_images_and_the_exclude_lists_are_looked_at(simulator: Simulator, etc: Path) -> None:
    list_, image = etc / "list", simulator.directory / "cm/images/dgx-image"
    list_.write_text("- /var/log/*\n")
    manifest = Manifest(image, DEFAULT_MANIFEST)
    manifest.entries["/usr/local/bin/cgroup_exporter"]["version"] = "0.3.0"
    manifest.save()
    cmsh(simulator, f"category; use dgx-h100; set excludelistupdate {list_}; commit")
    outcome = run(simulator.directory, "doctor")
    assert outcome.status == 1
    assert (
        "software image dgx-image: cgroup_exporter is 0.3.0, and works with job statistics from 0.3.2 on" in outcome.out
    )
    assert "Add to excludelistupdate of category dgx-h100: - /var/spool/slurmd/*" in outcome.out
    assert outcome.out.endswith("20 checks, 1 error, 1 warning.\n")
    cmsh(simulator, "category; use dgx-h100; clear excludelistupdate; commit")
    manifest.entries["/usr/local/bin/cgroup_exporter"]["version"] = "0.3.3"
    manifest.save()


def test_keys_are_looked_at_where_bcm_does_not_answer(tmp_path: Path) -> None:
    key = tmp_path / "root/.cm/admin.key"
    key.parent.mkdir(parents=True)
    key.touch(mode=0o644)
    outcome = run(tmp_path, "doctor")
    assert outcome.status == 1
    assert f"{key}: is a private key that others can read" in outcome.out
    assert "nothing of Slurm was checked" in outcome.out
    assert outcome.out.endswith("1 check, 2 errors.\n")


def test_what_a_file_holds_does_not_move_the_cursor(simulator: Simulator, etc: Path) -> None:
    text = SOUND["slurm"].replace("ClusterName=slurm", "ClusterName=\x1b[2Jslurm\udcff")
    (etc / "slurm.conf").write_bytes(text.encode("utf-8", "surrogateescape"))
    outcome = run(simulator.directory, "doctor")
    assert outcome.status == 1
    assert "\\x1b[2Jslurm" in outcome.out and "\x1b" not in outcome.out
    outcome.out.encode()
