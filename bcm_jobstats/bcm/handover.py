"""A certificate for the agents on the nodes: on shared storage, where the user that they run as reads it and can change
nothing of it."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bcm_jobstats.errors import JobstatsError

FOLDER_MODE, KEY_MODE, MODE = 0o750, 0o600, 0o644
MADE_BESIDE = ".{name}.bcm-jobstats-"
"""How the names of workshops begin."""


@contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """A folder of root's alone beside `folder`, gone at the end: nobody else sees a key that is being made, and what
    `folder` holds is replaced by whole files only. Such folders of runs that were killed go first."""
    start = MADE_BESIDE.format(name=folder.name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for path in folder.parent.glob(f"{start}*"):
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                shutil.rmtree(path)
        made = Path(tempfile.mkdtemp(prefix=start, dir=folder.parent))
    except OSError as error:
        raise JobstatsError(str(folder.parent), f"cannot be written to: {error.strerror}", "Is it mounted?") from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def check_ours(folder: Path, names: Collection[str], ca: str) -> None:
    """Raise JobstatsError when `folder` is there and is not one of files of these `names`, with an authority `ca` or
    without: its owner and mode are set, which must not happen to a folder that is for something else."""
    if not os.path.lexists(folder):
        return
    try:
        there = set() if folder.is_symlink() else {path.name for path in folder.iterdir()}
    except OSError as error:
        raise JobstatsError(str(folder), f"cannot be looked at: {error.strerror}", "Run it as root.") from error
    if there <= {ca} or there - {*names, ca}:
        cause = "is there already, and is no folder of the agents' certificate alone"
        raise JobstatsError(str(folder), cause, "Name one that is not there yet: --out DIR")


def hand_over(key: Path, others: Sequence[Path], folder: Path, number: int) -> None:
    """Move `key` and `others` into `folder`, where user and group `number` can read all and change nothing; only the
    key is theirs, as nobody else may read it.

    A file takes the place of one that is there in one step, so that an agent never reads half of one.
    """
    for file in others:
        file.chmod(MODE)
        _give(file, 0, 0)
    key.chmod(KEY_MODE)
    _give(key, number, number)
    there = folder.exists()
    into = folder if there else key.parent / "new"
    into.mkdir(mode=FOLDER_MODE, exist_ok=True)
    _give(into, 0, number)
    into.chmod(FOLDER_MODE)
    for file in (*others, key):
        file.replace(into / file.name)
    if not there:
        into.rename(folder)


def _give(path: Path, user: int, group: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, user, group, follow_symlinks=False)
