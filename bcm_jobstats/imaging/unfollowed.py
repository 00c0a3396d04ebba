"""Files opened by their own names, never through a symbolic link there.

An image may hold whatever root on a node left in it (`image grab`): also a link to a file of the head node, at a name
that we are about to write to, or a pipe, at which a reader waits for ever.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import BinaryIO, Optional


def created(path: Path, mode: int = 0o600) -> BinaryIO:
    """A new file to write into, with no more permissions than `mode`. What a killed run or somebody else left there
    goes first: a link itself, not what it leads to. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, mode)
    except FileExistsError:
        path.unlink()
        descriptor = os.open(path, flags, mode)
    return os.fdopen(descriptor, "wb")


def cleared(path: Path) -> None:
    """Take away whatever lies at a temporary name of ours: a link itself, not what it leads to. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def opened(path: Path) -> Optional[BinaryIO]:
    """A regular file to read from; None for anything else: a link, a directory, a pipe. Raises OSError."""
    if not stat.S_ISREG(path.lstat().st_mode):  # opening a device may do something already
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(descriptor, "rb")
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return file
    file.close()  # it was replaced meanwhile
    return None
