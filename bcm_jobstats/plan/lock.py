"""One run at a time on a head node."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bcm_jobstats.errors import ExitStatus, JobstatsError


class LockHeld(JobstatsError):
    """Another run is changing the cluster."""

    status = ExitStatus.BUSY


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file for the length of the block; LockHeld names the process that has it.

    The kernel drops the lock when the process ends, however it ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise LockHeld(
                str(path), f"another run (process {holder}) is changing the cluster", "Wait for it to end."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
