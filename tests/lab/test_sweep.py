"""Nothing of a lab is left, and of nothing else anything is taken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from bcm_jobstats.simulator.cluster import MARK
from bcm_jobstats.simulator.lab import disks, sweep
from bcm_jobstats.simulator.lab.controlgroups import ControlGroups
from tests.harness import until
from tests.lab import labs
from tests.lab.traces import traces

pytestmark = [pytest.mark.lab, pytest.mark.skipif(labs.missing() is not None, reason=str(labs.missing()))]

STUBBORN = (
    "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]; print(1, flush=True); time.sleep(999)"
)
PARENT = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', sys.argv[1]]); p.wait(); p.wait()"


def started(directory: Path, *words: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, MARK: str(directory)}
    words = (sys.executable, "-c", *words)
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, start_new_session=True)


def test_processes_of_this_lab_alone_are_ended(tmp_path: Path) -> None:
    mine, other = tmp_path / "lab", tmp_path / "lab2"
    kept, ended = started(other, STUBBORN), started(mine, PARENT, STUBBORN)
    try:
        for process in (kept, ended):
            assert process.stdout and process.stdout.readline() == b"1\n"
        sweep.sweep(mine)
        assert ended.wait(10) == -signal.SIGKILL and kept.poll() is None
        assert sweep.processes(mine) == [] and sweep.processes(other) == [kept.pid]
    finally:
        for process in (kept, ended):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stdout
            process.stdout.close()
    assert traces(mine) == []


def test_mounts_and_groups_go_and_may_be_swept_again(tmp_path: Path) -> None:
    directory, lower = tmp_path / "lab", tmp_path / "lower"
    lower.mkdir()
    groups = ControlGroups(directory)
    made = groups.make("dgx-01")
    disks.mount_overlay(directory, [lower], tmp_path / "disk")
    disks.mount_overlay(directory / "nodes/dgx-01", [lower], tmp_path / "disk2")
    process = subprocess.Popen(["sleep", "999"])
    try:
        (made[0] / "cgroup.procs").write_text(str(process.pid))
        until(lambda: process.pid in groups.processes(), what="the process is in the group")
        sweep.sweep(directory)
        assert process.wait(10) == -signal.SIGKILL
        assert not any(group.exists() for group in made) and disks.mounts_below(directory) == []
    finally:
        process.kill()
        process.wait()
        groups.remove()
        disks.unmount_below(directory)
    sweep.sweep(directory)
    assert traces(directory) == [f"file {directory}"]


def test_who_keeps_a_mount_is_named(tmp_path: Path) -> None:
    directory, lower = tmp_path / "lab", tmp_path / "lower"
    lower.mkdir()
    disks.mount_overlay(directory, [lower], tmp_path / "disk")
    try:
        with subprocess.Popen(["sleep", "999"], cwd=directory) as process:
            try:
                with pytest.raises(disks.MountError, match=rf"busy.*process {process.pid} \(sleep\)"):
                    disks.unmount_below(directory)
            finally:
                process.kill()
    finally:
        disks.unmount_below(directory)
