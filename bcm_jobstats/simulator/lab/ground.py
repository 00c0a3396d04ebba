"""What lies in the directory that a lab is given: nothing, a lab, what is left of one, or something else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Optional

from bcm_jobstats.simulator import settings
from bcm_jobstats.simulator.lab.pod import PodError

_CMD, _KEPT = "cmd", "cluster.json"
"""The file by which a lab is known. It comes first and goes last."""
LONGEST = 84
"""Bytes of a lab's path: sockets lie below it, whose own path the kernel limits to 107."""
_OVERLAY = "overlay bcm-simulator"
"""How the head node's tree shows in the table of mounts."""


def kept(directory: Path) -> Optional[dict[str, Any]]:
    """What the lab in `directory` was made of; None when there is none, or the file was only half written."""
    try:
        return settings.read(directory)
    except (OSError, ValueError):
        return None


def check_path(directory: Path) -> None:
    """PodError when the path can be no lab's: mount and systemd-nspawn take some signs for separators."""
    path = str(directory)
    if not set(path).isdisjoint(":,\\\n"):
        raise PodError(
            f"{path}: a colon, comma, backslash or line break in it cannot be mounted. Name another directory."
        )
    if len(os.fsencode(path)) > LONGEST:
        raise PodError(f"{path}: too long, {LONGEST} bytes at most. Name another directory.")


def check(directory: Path) -> None:
    """PodError when what lies there is neither a lab nor the remains of one: it is the user's."""
    if not directory.exists() or _mounted(directory):
        return
    told = kept(directory)
    strange = told.get("node_kind") != "container" if told else not _remains(directory)
    if strange:
        raise PodError(f"{directory} holds something else than a lab. Name a directory that is empty or not there.")


def _mounted(directory: Path) -> bool:
    """A lab that was killed may have hidden its settings under the head node's tree."""
    lines = [line.split(" ") for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    return any(line[4] == str(directory) and " ".join(line).find(f" - {_OVERLAY} ") > 0 for line in lines)


def _remains(directory: Path) -> bool:
    """Whether nothing is there but the first file of a lab, or the last one."""
    if not directory.is_dir() or any(path.name != _CMD for path in directory.iterdir()):
        return False
    cmd = directory / _CMD
    return not cmd.exists() or (cmd.is_dir() and all(path.name == _KEPT for path in cmd.iterdir()))


def mend(directory: Path) -> None:
    """Forget settings that were only half written."""
    if kept(directory) is None:
        (directory / _CMD / _KEPT).unlink(missing_ok=True)


def clear(directory: Path) -> None:
    """Remove a lab that has ended. Killed in between it is still known for what it was."""
    for place in (directory, directory / _CMD):
        for path in place.iterdir() if place.is_dir() else ():
            if path.name not in (_CMD, _KEPT):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if directory.is_dir():
        shutil.rmtree(directory)
