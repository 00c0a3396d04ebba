"""A map that the hooks kept is emptied when a site turns them off: the command of the unit, run for real."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from bcm_jobstats.site import load_site
from bcm_jobstats.stack import Stack, hooks, load_definitions

ROLES = ("jobstats", "dcgm-exporter")
UNITS = {"gpustat": "nvidia_gpu_exporter", "dcgm-job-map": "dcgm-exporter"}
UUID = "GPU-11111111-2222-3333-4444-555555555555"
JOB = {"SLURM_JOB_ID": "77", "SLURM_JOB_UID": "1000", "SLURM_JOB_GPUS": "0,3"}


class Node:
    """A node below `root`: first with hooks, then without."""

    def __init__(self, root: Path, job_map: str = "{}") -> None:
        self.root, self.run, self.home = root, root / "run", root / "run/bcm-jobstats"
        self.settings = f"roles: {{jobstats: , dcgm-exporter: }}\njob_map: {job_map}\n"
        self.run.mkdir()
        self.deploy("hooks: {location: local}\n")

    def deploy(self, text: str) -> None:
        site_file = self.root / "site.yaml"
        site_file.write_text(self.settings + text)
        definitions = load_definitions()
        for file in Stack(load_site(site_file, definitions), definitions).payload(ROLES):
            path = self.root / file.path.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            content = file.content.decode().replace("\nrun=/run\n", f"\nrun={self.run}\n")
            path.write_text(content.replace("flock -w 0.8 ", "flock -w 0 "))
            path.chmod(file.mode)

    def prologs(self, **more: str) -> None:
        for name in hooks.NAMES:
            script = self.root / f"usr/lib/bcm-jobstats/prolog-{name}.sh"
            subprocess.run([str(script)], check=True, env={**JOB, **more})

    def forget(self, name: str) -> int:
        """The command that systemd runs before the exporter of a map, and its exit status."""
        unit = (self.root / f"etc/systemd/system/{UNITS[name]}.service").read_text().splitlines()
        (line,) = (line for line in unit if line.startswith("ExecStartPre="))
        program, *arguments = line.removeprefix("ExecStartPre=+-").split()
        command = [str(self.root / program.lstrip("/")), *arguments]
        return subprocess.run(command, check=False, env={}, cwd="/").returncode

    def public(self, name: str) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted((self.run / name).iterdir())}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def off(node: Node) -> Node:
    node.deploy("hooks: {enabled: false}\n")
    return node


def test_jobs_that_ran_are_forgotten_once(node: Node) -> None:
    node.prologs()
    for directory in (node.run / "gpustat", node.home / "gpustat"):
        (directory / "notes").write_text("x\n")
    (node.run / "gpustat/7").write_text("5 6\n")
    off(node)
    others = {"7": "5 6\n", "notes": "x\n"}
    assert node.public("gpustat") == {"0": "77 1000\n", "3": "77 1000\n", **others}
    assert node.forget("gpustat") == 0
    assert node.public("gpustat") == {"0": "", "3": "", **others}, "what we never knew, or is no GPU, is not ours"
    assert node.public("dcgm-job-map") == {"0": "77\n", "3": "77\n"}, "another exporter's"
    assert sorted(path.name for path in node.home.iterdir() if path.is_dir()) == ["dcgm-job-map", "runs"]
    (node.run / "gpustat/0").write_text("78 1000\n")
    assert node.forget("gpustat") == 0
    assert node.public("gpustat")["0"] == "78 1000\n", "the site's own hooks are left alone"


def test_a_uuid_goes_because_it_would_hide_the_number(node: Node) -> None:
    node.prologs(CUDA_VISIBLE_DEVICES=UUID)
    assert set(node.public("gpustat")) == {UUID}
    assert off(node).forget("gpustat") == 0
    assert node.public("gpustat") == {}


@pytest.mark.parametrize("mode", ["info", "both"])
def test_the_metric_goes_and_files_as_the_site_has_it(tmp_path: Path, mode: str) -> None:
    node = Node(tmp_path, f"{{mode: {mode}, release: unlink}}")
    node.prologs()
    metric = node.home / "textfile/jobs.prom"
    assert 'jobid="77"' in metric.read_text()
    off(node)
    assert node.forget("gpustat") == 0 and metric.exists()
    assert node.forget("dcgm-job-map") == 0 and not metric.exists()
    assert not list((node.run / "dcgm-job-map").glob("*"))
    assert not (node.home / "dcgm-job-map").exists()


def test_the_metric_goes_also_when_its_mode_does(tmp_path: Path) -> None:
    node = Node(tmp_path, "{mode: info}")
    node.prologs()
    node.settings = node.settings.replace("info", "label")
    assert off(node).forget("dcgm-job-map") == 0
    assert not (node.home / "textfile/jobs.prom").exists()


def test_a_hook_that_still_runs_is_not_disturbed(node: Node) -> None:
    node.prologs()
    off(node)
    held = os.open(node.home / "gpustat", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        assert node.forget("gpustat") == 1
        assert node.public("gpustat") == {"0": "77 1000\n", "3": "77 1000\n"}
    finally:
        os.close(held)
    assert node.forget("gpustat") == 0
    assert node.public("gpustat") == {"0": "", "3": ""}, "the next start makes up for it"


def test_what_cannot_be_emptied_is_tried_again(node: Node) -> None:
    node.prologs(CUDA_VISIBLE_DEVICES=UUID)
    off(node)
    (node.run / "gpustat" / UUID).unlink()
    (node.run / "gpustat" / UUID / "x").mkdir(parents=True)
    assert node.forget("gpustat") == 1
    assert (node.home / "gpustat").is_dir()


def test_where_no_hook_ran_nothing_is_made(node: Node) -> None:
    assert off(node).forget("gpustat") == 0
    assert list(node.run.iterdir()) == []


def test_through_a_link_nothing_is_taken(node: Node, tmp_path: Path) -> None:
    node.prologs()
    (node.home / "gpustat").rename(tmp_path / "elsewhere")
    (node.home / "gpustat").symlink_to(tmp_path / "elsewhere")
    assert off(node).forget("gpustat") == 0
    assert (tmp_path / "elsewhere/0").exists()


@pytest.mark.parametrize("argument", ["", "..", "runs", "gpustat/../..", "gpustat dcgm-job-map"])
def test_only_a_map_can_be_forgotten(node: Node, argument: str) -> None:
    node.prologs()
    off(node)
    script = node.root / "usr/lib/bcm-jobstats/gpu-forget"
    before = sorted(node.run.rglob("*"))
    done = subprocess.run([str(script), argument], check=False, env={})
    assert (done.returncode, sorted(node.run.rglob("*"))) == (64, before)
