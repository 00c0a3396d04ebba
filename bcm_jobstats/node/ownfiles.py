"""Files in folders that belong to the agent's user, who may put anything there, also for `--once` as root."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


def read(path: Path, most: int) -> bytes:
    """What a plain file holds; never waits and follows no link. Raises OSError, and ValueError for anything else."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a plain file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(most + 1)
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise ValueError(f"it has more than {most} bytes")
    return content


def temporary(path: Path) -> Path:
    """Where a new `path` is made by this process: hidden and with another ending, so that nobody takes it for one."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def replace(path: Path, content: bytes, lasting: bool = True) -> None:
    """Have a whole file there, or what was there before; `lasting`: also when power fails. Raises OSError.

    It is made anew, never opened: what lies at its name may be a link to any file of root's. What root makes belongs
    to whom the folder belongs, who goes on with it.
    """
    new = temporary(path)
    with suppress(FileNotFoundError):
        new.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(new, flags, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o644)
            if os.geteuid() == 0:
                folder = path.parent.stat()
                os.fchown(descriptor, folder.st_uid, folder.st_gid)
            file.write(content)
            file.flush()
            if lasting:
                os.fsync(descriptor)
        new.replace(path)
    finally:
        with suppress(OSError):
            new.unlink()
