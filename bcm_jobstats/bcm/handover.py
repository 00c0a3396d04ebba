"""A certificate for the agents on the nodes: on shared storage, owned by the user that they run as."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bcm_jobstats.errors import JobstatsError

FOLDER_MODE, KEY_MODE, MODE = 0o700, 0o600, 0o644


@contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """A folder of root's beside `folder`, gone at the end: `folder` belongs to the agents' user, who could have a link
    wait there for what root writes."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise JobstatsError(str(folder.parent), f"cannot be written to: {error.strerror}", "Is it mounted?") from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def hand_over(files: Mapping[Path, int], folder: Path, number: int) -> None:
    """Move `files` (path -> mode) into `folder`, which belongs to the user and group `number` from then on, as they do.

    A file takes the place of one that is there in one step, so that an agent never reads half of one.
    """
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    for file, mode in files.items():
        file.chmod(mode)
        _give(file, number)
        file.replace(folder / file.name)
    folder.chmod(FOLDER_MODE)
    _give(folder, number)


def _give(path: Path, number: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, number, number, follow_symlinks=False)
