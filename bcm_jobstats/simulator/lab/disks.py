"""Overlay mounts: a tree that shares a read-only base with others and keeps its own changes on a disk of its own."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_OPAQUE = "trusted.overlay.opaque"
_OCTAL = re.compile(r"\\([0-7]{3})")


_SOURCE = "bcm-simulator"
"""How the table of mounts names our overlays."""


class MountError(OSError):
    """A file system cannot be mounted, unmounted or filled."""


def mounts_below(directory: Path) -> list[Path]:
    """The mount points below `directory`, and itself where an overlay of ours is; the last mounted first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields, _, kind = line.partition(" - ")
        point = Path(_OCTAL.sub(lambda match: chr(int(match.group(1), 8)), fields.split(" ")[4]))
        ours = point == directory and kind.startswith(f"overlay {_SOURCE} ")
        if ours or directory in point.parents:
            found.append(point)
    return found[::-1]


def mount_overlay(point: Path, lowers: Sequence[Path], disk: Path) -> None:
    """Mount at `point` the trees `lowers` (the first lies on top); changes go to ``disk/upper``."""
    for part in (disk / "upper", disk / "work", point):
        part.mkdir(parents=True, exist_ok=True)
    layers = ":".join(str(lower).replace("\\", "\\\\").replace(":", "\\:") for lower in lowers)
    options = f"lowerdir={layers},upperdir={disk / 'upper'},workdir={disk / 'work'}"
    _run("mount", "-t", "overlay", "-o", options, _SOURCE, str(point))


def bind(source: Path, point: Path) -> None:
    """Show the directory `source` at `point` too. `source` may be an open descriptor, of what a mount has hidden."""
    point.mkdir(parents=True, exist_ok=True)
    _run("mount", "--no-canonicalize", "--bind", str(source), str(point))


def share(point: Path) -> None:
    """Have mounts below `point` appear in containers too that were booted from it before."""
    _run("mount", "--make-shared", str(point))


def unmount_below(directory: Path) -> None:
    """Unmount everything at and below `directory`; MountError, with who uses it, when something is in use."""
    for point in mounts_below(directory):
        try:
            _run("umount", str(point))
        except MountError as error:
            users = ", ".join(_users(point))
            raise MountError(f"{error}. In use by {users}: end them, then try again" if users else str(error)) from None


def _users(point: Path) -> list[str]:
    """The processes that stand in a tree, or have a file of it open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            links = (process / "cwd", process / "root", *(process / "fd").iterdir())
            if any(point in (path, *path.parents) for path in map(Path, map(os.readlink, links))):
                found.append(f"process {process.name} ({(process / 'comm').read_text(errors='replace').strip()})")
    return found


def layer_names(directory: Path) -> set[str] | None:
    """What a layer has in a directory, removals included; None when it hides what lies below it there."""
    try:
        names = {path.name for path in directory.iterdir()}
        return None if os.getxattr(directory, _OPAQUE) == b"y" else names
    except FileNotFoundError:
        return set()
    except NotADirectoryError:  # the whole directory was removed, or replaced
        return None
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        return names


def erase(disk: Path) -> None:
    """Forget what a disk that is not mounted holds."""
    if disk.exists():
        shutil.rmtree(disk)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a tree with owners, links, devices and extended attributes, as an upper layer needs it."""
    target.mkdir(parents=True, exist_ok=True)
    _run("cp", "-a", "--reflink=auto", f"{source}/.", str(target))


def _run(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        raise MountError(done.stderr.strip() or f"{words[0]} {words[-1]} ended with {done.returncode}")
