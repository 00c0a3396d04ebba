"""The control groups of one lab on this machine: one group per lab in every hierarchy, one below it per node.

A host with cgroup v1, also beside v2, has a hierarchy per controller; one with v2 alone has one, and was not tried.
Every process of a container is in its node's groups from its first instruction, so they also tell which processes a
lab has, whatever else was lost.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
PROC = Path("/proc")
PREFIX = "bcm-simulator."
ENDING = 10.0
"""Seconds that killed processes may take to be gone."""
_CPUSET = ("cpuset.cpus", "cpuset.mems")


def legacy() -> bool:
    """Whether this machine has cgroup v1, alone or beside v2."""
    return not (MOUNT / "cgroup.controllers").exists()


def hierarchies() -> list[Path]:
    """The roots of this machine's hierarchies."""
    if not legacy():
        return [MOUNT]
    return sorted(path for path in MOUNT.iterdir() if path.is_dir() and (path / "cgroup.procs").exists())


class ControlGroups:
    """The groups of the lab whose head node's root is `directory`."""

    def __init__(self, directory: Path) -> None:
        digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
        self.name = f"{PREFIX}{digest}"

    def make(self, node: str) -> list[Path]:
        """The groups of one node, one in each hierarchy, made where they are missing."""
        groups = []
        for hierarchy in hierarchies():
            above = hierarchy
            for name in (self.name, node):
                group = above / name
                with suppress(FileExistsError):
                    group.mkdir()
                    _inherit_cpuset(above, group)
                above = group
            groups.append(above)
        return groups

    def processes(self, node: str = "") -> set[int]:
        """The processes in the groups of a node, or of all of them."""
        found: set[int] = set()
        for group in self._all(node):
            with suppress(OSError):
                found.update(int(word) for word in (group / "cgroup.procs").read_text().split())
        return found

    def init(self, node: str) -> int | None:
        """Process 1 of the container of `node`, by its number on this machine; None before it is there.

        systemd moves itself into the group ``init.scope``, where its new children are for a moment, too.
        """
        for group in self._all(node):
            if group.name == "init.scope":
                with suppress(OSError):
                    for word in (group / "cgroup.procs").read_text().split():
                        if _number_inside(int(word)) == 1:
                            return int(word)
        return None

    def remove(self, node: str = "") -> None:
        """Kill what is in the groups and remove them; OSError when a process cannot be ended."""
        deadline = time.monotonic() + ENDING
        while self._kill(node) | self._remove(node):
            if time.monotonic() > deadline:
                raise OSError(f"control groups {self.name}/{node}: processes {sorted(self.processes(node))} do not end")
            time.sleep(0.02)

    def _kill(self, node: str) -> bool:
        found = self.processes(node) - {os.getpid()}
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return bool(found)

    def _remove(self, node: str) -> bool:
        """Remove what is empty; whether something is left."""
        left = False
        for group in self._all(node):
            try:
                group.rmdir()
            except FileNotFoundError:
                continue
            except OSError:  # a process of it has not ended yet
                left = True
        return left

    def _all(self, node: str) -> Iterator[Path]:
        """Every group, the innermost first."""
        for hierarchy in hierarchies():
            top = hierarchy / self.name / node
            if top.is_dir():
                for directory, _, _ in os.walk(top, topdown=False):
                    yield Path(directory)


def _number_inside(process: int) -> int:
    """The number that a process has in its own namespace of processes; 0 when it has ended."""
    with suppress(OSError):
        lines = (PROC / str(process) / "status").read_text(errors="replace").splitlines()
        return next((int(line.split()[-1]) for line in lines if line.startswith("NSpid:")), 0)
    return 0


def _inherit_cpuset(above: Path, group: Path) -> None:
    """A new group of the v1 controller cpuset takes no process before its lists are set."""
    for name in _CPUSET:
        if (group / name).exists() and (above / name).exists() and "cpuset" in above.parts:
            (group / name).write_text((above / name).read_text())
