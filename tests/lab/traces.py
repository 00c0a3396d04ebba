"""What this machine still has of a lab, by what the kernel tells of every process, mount, group and socket."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from bcm_jobstats.simulator.lab.controlgroups import MOUNT, ControlGroups


def traces(directory: Path) -> list[str]:
    """Each trace as a line; none when nothing is left. Other labs beside it do not matter."""
    name = ControlGroups(directory).name
    words = (os.fsencode(directory), name.encode())
    found = [f"file {directory}"] if directory.exists() else []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            found += [f"process {process.name}: {file}" for file in _told(process, words)]
    with suppress(OSError):
        found += [f"mount {line!r}" for line in _lines(Path("/proc/self/mountinfo")) if words[0] in line]
    found += [f"socket {line!r}" for line in _lines(Path("/proc/net/unix")) if words[0] in line]
    found += [f"group {path}" for path in (MOUNT / name, *MOUNT.glob(f"*/{name}")) if path.exists()]
    return found


def _told(process: Path, words: tuple[bytes, bytes]) -> list[str]:
    """By which files of the kernel a process belongs to the lab."""
    found = []
    with suppress(OSError):
        if b") Z " in (process / "stat").read_bytes():
            return []  # it has ended, and its parent has not asked yet
        for file in ("cmdline", "environ", "cgroup"):
            if any(word in (process / file).read_bytes() for word in words):
                found.append(file)
        # Entered a node: its root is a tree of the lab. That a namespace has a copy of all mounts means nothing.
        roots = [line for line in _lines(process / "mountinfo") if line.split(b" ")[4] == b"/"]
        found += ["root" for line in roots if words[0] in line]
        if os.fsencode((process / "cwd").readlink()).startswith(words[0]):
            found.append("cwd")
    return found


def _lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines()


def interfaces() -> set[str]:
    """The network interfaces of this machine."""
    return {path.name for path in Path("/sys/class/net").iterdir()}
