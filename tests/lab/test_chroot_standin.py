"""The head node's stand-in of `cm-chroot-sw-img`: a shell in a software image (bcm-facts §6)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.simulator.lab import bases, disks
from bcm_jobstats.simulator.lab.seed import CHROOT, seed_head
from tests.lab import labs

pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(labs.missing()), reason=labs.missing() or "")]


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    base = bases.build("bookworm", print)
    try:
        disks.mount_overlay(tmp_path / "image", [base.node], tmp_path / "disk")
        yield tmp_path / "image"
    finally:
        disks.unmount_below(tmp_path)


def test_commands_on_its_input_run_in_the_image(image: Path, tmp_path: Path) -> None:
    (tmp_path / "head/etc").mkdir(parents=True)
    seed_head(tmp_path / "head", "bcm-head", "/etc/slurm")
    wrapper = [str(tmp_path / "head" / CHROOT), str(image)]
    script = "ls -d /proc/self /dev/null /sys/kernel; touch /opt/mine; exit 3\n"
    done = subprocess.run(wrapper, input=script, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.returncode) == (["/dev/null", "/proc/self", "/sys/kernel"], 3)
    assert (image / "opt/mine").exists()
    assert disks.mounts_below(image) == [image]
    missing = subprocess.run([wrapper[0], str(tmp_path)], capture_output=True, text=True, check=False)
    assert missing.returncode == 1 and str(tmp_path) in missing.stderr
