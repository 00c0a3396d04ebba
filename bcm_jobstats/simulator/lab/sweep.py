"""Removes what a lab leaves on this machine, whatever became of its daemon: processes, mounts, control groups.

Everything is found by what the machine itself tells, not by notes of the lab: a lab may be killed at any moment.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path

from bcm_jobstats.simulator.cluster import MARK
from bcm_jobstats.simulator.lab import disks
from bcm_jobstats.simulator.lab.controlgroups import ControlGroups

ENDING = 10.0


def processes(directory: Path) -> list[int]:
    """The processes that carry the mark of the lab, but for this one."""
    wanted = os.fsencode(f"{MARK}={directory}")
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def sweep(directory: Path, *, keep: bool = False) -> None:
    """End all processes of the lab, unmount its trees, remove its control groups; OSError when that cannot be done.

    `keep`: this process works for the lab too, and so do those that wait for it; only what runs in containers ends.
    """
    if not keep:
        _end(directory)
    ControlGroups(directory).remove()
    disks.unmount_below(directory)


def _end(directory: Path) -> None:
    """Kill until none is left: one may have started another meanwhile."""
    found = processes(directory)
    while found:
        for process in found:
            with suppress(ProcessLookupError):
                handle = os.pidfd_open(process)
                try:
                    os.kill(process, signal.SIGKILL)
                    select.select([handle], [], [], ENDING)
                finally:
                    os.close(handle)
        found = processes(directory)
