"""Whether a cloned image is whole, and whether there is room for one. Names, types, sizes, modes and targets of links
are compared, no contents: an image has tens of GB, and a copy that was cut off lacks names or bytes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bcm_jobstats.errors import JobstatsError

BLOCK = 512
"""Bytes: what st_blocks counts (stat(2))."""
GIB = float(1 << 30)
MADE_ANEW = "boot"
"""The directory where BCM makes a clone's ramdisk by itself (bcm-facts §6); what is in it may have another size."""
SHOWN = 3
FULL = 1 << 20
"""Bytes: with less than that free, a file system is full."""


class NoRoom(JobstatsError):
    """The images' file system has no room for a clone."""


def allocated(root: Path) -> int:
    """The bytes that a tree takes on its file system: each file once, whatever the number of its names."""
    known: set[tuple[int, int]] = set()
    total = 0
    for _, status in _walk(root):
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if (status.st_dev, status.st_ino) in known:
                continue
            known.add((status.st_dev, status.st_ino))
        total += status.st_blocks * BLOCK
    return total


def free(path: Path) -> int:
    """The bytes that are free on the file system of a directory, or of the nearest one above it that is there."""
    there = next(parent for parent in (path, *path.parents) if parent.is_dir())
    status = os.statvfs(there)
    return status.f_bavail * status.f_frsize


def require_room(source: Path, images: Path) -> None:
    """NoRoom unless a copy of `source` fits on the file system of `images`."""
    needed, left = allocated(source), free(images)
    if needed > left:
        cause = f"a clone of {source} takes {needed / GIB:.1f} GiB, and {left / GIB:.1f} GiB are free"
        raise NoRoom(str(images), cause, "Make room on that file system and run the command again.")


def differences(source: Path, clone: Path, most: int = SHOWN) -> list[str]:
    """The first things that are in `source` and not as they are there in `clone`; what only the clone has is BCM's."""
    return list(islice(_differences(source, clone), most))


def _differences(source: Path, clone: Path) -> Iterator[str]:
    if not clone.is_dir():
        yield f"{clone} is not there"
        return
    for path, status in _walk(source):
        other = clone / path
        try:
            there = other.lstat()
        except FileNotFoundError:
            # A socket is a running program's; and what is gone in the source too went meanwhile.
            if not stat.S_ISSOCK(status.st_mode) and os.path.lexists(source / path):
                yield f"/{path} is missing"
            continue
        if there.st_mode != status.st_mode:
            yield f"/{path} has another type or mode"
        elif stat.S_ISLNK(status.st_mode):
            if (source / path).readlink() != other.readlink():
                yield f"/{path} leads elsewhere"
        elif stat.S_ISREG(status.st_mode) and path.parts[0] != MADE_ANEW and there.st_size != status.st_size:
            yield f"/{path} has {there.st_size} of {status.st_size} bytes"


def _walk(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything below `root`, parents first, links not followed; what vanishes meanwhile is left out."""
    waiting = [root]
    while waiting:
        directory = waiting.pop()
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except FileNotFoundError:
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield Path(entry.path).relative_to(root), status
            if stat.S_ISDIR(status.st_mode):
                waiting.append(Path(entry.path))
