"""The stand-in for BCM's generic prolog and epilog, run as slurmd runs it (bcm-facts §5.1)."""

from __future__ import annotations

import shutil
import subprocess
from importlib.resources import as_file, files
from pathlib import Path

import pytest

from bcm_jobstats.simulator import lab

SLURM = {"SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": "0,1", "SLURMD_NODENAME": "dgx-01"}
"""A prolog's environment: without a PATH (lab.md §1)."""


class Node:
    """A node's /cm/local/apps, with the dispatcher of one kind and its directory of scripts."""

    def __init__(self, root: Path, kind: str) -> None:
        self.apps = root / "cm/local/apps"
        self.kind = kind
        self.directory = self.apps / f"slurm/var/{kind}s"
        self.directory.mkdir(parents=True)
        self.log = root / "log"
        scripts = self.apps / "cmd/scripts"
        scripts.mkdir(parents=True)
        with as_file(files(lab) / "dispatcher") as source:
            for name in ("prolog", "epilog"):
                shutil.copy(source / name, scripts)
                (scripts / name).chmod(0o755)

    def script(self, name: str, status: int = 0, *, mode: int = 0o755, directory: Path | None = None) -> Path:
        """A script that tells that it ran, and ends with a status."""
        path = (directory or self.directory) / name
        path.write_text(f'#!/bin/sh\necho "{name}" >> "{self.log}"\nexit {status}\n')
        path.chmod(mode)
        return path

    def run(self) -> tuple[int, list[str]]:
        """The status of the dispatcher, and the scripts that ran."""
        done = subprocess.run([self.apps / "cmd/scripts" / self.kind], env=SLURM, check=False, cwd="/")
        return done.returncode, self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture(params=["prolog", "epilog"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Node:
    return Node(tmp_path, request.param)


def test_low_numbers_go_first(node: Node) -> None:
    for name in ("99-z", "00-first", "60-prolog-jobstats.sh", "50-b", "50-a b", "01-prolog-prejob"):
        node.script(name)
    assert node.run() == (0, ["00-first", "01-prolog-prejob", "50-a b", "50-b", "60-prolog-jobstats.sh", "99-z"])


def test_the_first_failure_ends_it_and_is_told_to_slurmd(node: Node) -> None:
    node.script("10-a")
    node.script("20-b", status=7)
    node.script("30-c")
    assert node.run() == (7, ["10-a", "20-b"])


@pytest.mark.parametrize(("told", "status"), [("zero\n", 0), ("zero", 0), ("honest\n", 7), ("", 7)])
def test_what_slurmd_is_told_is_a_switch(node: Node, told: str, status: int) -> None:
    node.script("20-b", status=7)
    node.script("30-c")
    switch = node.apps / "cmd/etc/prolog-status"
    switch.parent.mkdir()
    switch.write_text(told)
    assert node.run() == (status, ["20-b"])


def test_a_directory_that_is_empty_or_missing_harms_nothing(node: Node) -> None:
    assert node.run() == (0, [])
    node.directory.rmdir()
    assert node.run() == (0, [])


def test_links_are_followed_and_dangling_ones_passed_over(node: Node, tmp_path: Path) -> None:
    real = node.script("the-hook.sh", directory=tmp_path)
    (node.directory / "60-link").symlink_to(real)
    (node.directory / "10-dangling").symlink_to(tmp_path / "nowhere")
    assert node.run() == (0, ["the-hook.sh"])


def test_what_cannot_be_run_is_passed_over(node: Node) -> None:
    node.script("10-not-executable", mode=0o644)
    (node.directory / "20-directory").mkdir()
    node.script("30-inside", directory=node.directory / "20-directory")
    node.script("40-runs")
    assert node.run() == (0, ["40-runs"])


def test_only_numbered_names_run_backups_among_them(node: Node) -> None:
    for name in ("README", ".50-hidden", "5-one-digit", "50-a.sh", "50-a.sh~"):
        node.script(name)
    assert node.run() == (0, ["50-a.sh", "50-a.sh~"])


def test_scripts_of_cloud_jobs_do_not_run(node: Node) -> None:
    for name in ("10-a-cmjob", "20-b-prejob"):
        node.script(name)
    assert node.run() == (0, ["20-b-prejob"])


def test_scripts_get_what_slurm_gave(node: Node, tmp_path: Path) -> None:
    script = node.script("10-environment")
    script.write_text(f"#!/usr/bin/python3 -I\nimport os\nopen({str(node.log)!r}, 'w').write(repr(dict(os.environ)))\n")
    node.run()
    given = eval(node.log.read_text())
    assert given.pop("_") == str(script)  # bash's own, which cannot be kept back
    assert {key: value for key, value in given.items() if key != "LC_CTYPE"} == SLURM
