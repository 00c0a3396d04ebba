"""The shared storage of head nodes, /cm/shared: NAS is mounted on both, DAS on the active one only (bcm-facts §10).

With one head it is a plain directory. Which kind a pair has is settled when the simulator starts.
"""

from __future__ import annotations

import os
from pathlib import Path

from bcm_jobstats.simulator.ha import Heads

NAS, DAS = "nas", "das"
SHARED = "cm/shared"
_DISK = "storage/shared"
_BENEATH = "shared.beneath"
"""What was written into the mount point while nothing was mounted there; a mount hides it."""


def place(directory: Path, heads: Heads, kind: str) -> Path:
    """The directory that is the storage itself; with DAS it lies beside the heads, and is made here."""
    disk = directory / _DISK
    if disk.is_dir() or not heads.is_pair or kind != DAS:
        return disk if disk.is_dir() else directory / SHARED
    disk.parent.mkdir(parents=True, exist_ok=True)
    (directory / SHARED).rename(disk)
    return disk


def mount(heads: Heads, storage: Path, kind: str) -> None:
    """Mount it where it has to be now, and only there; nothing is to do with one head."""
    if not heads.is_pair:
        return
    for name, root in heads.roots.items():
        point = root / SHARED
        if point == storage:
            continue
        wanted = kind == NAS or (name == heads.active and heads.serving)
        if wanted and not point.is_symlink():
            _mount(point, storage)
        elif not wanted:
            _unmount(point)


def _mount(point: Path, storage: Path) -> None:
    beneath = point.with_name(_BENEATH)
    if point.is_dir():
        point.rename(beneath)
    point.parent.mkdir(parents=True, exist_ok=True)
    point.symlink_to(os.path.relpath(storage, point.parent))


def _unmount(point: Path) -> None:
    beneath = point.with_name(_BENEATH)
    if point.is_symlink():
        point.unlink()
    if beneath.is_dir():
        beneath.rename(point)
    point.mkdir(parents=True, exist_ok=True)
