"""Private keys: none is used that others can read."""

from __future__ import annotations

from pathlib import Path

from bcm_jobstats.bcm.errors import Unreachable
from bcm_jobstats.errors import JobstatsError

OTHERS = 0o077


class ExposedKey(JobstatsError):
    """A private key that others than its owner can read or write; nothing was sent."""


def check_private(key: Path) -> None:
    """Raise ExposedKey unless only its owner can read and write the file, Unreachable when it cannot be looked at."""
    check_there(key, "private key")
    if key.stat().st_mode & OTHERS:
        cause = "others than its owner can read or write it, so it was not used"
        raise ExposedKey(f"private key {key}", cause, f"chmod 600 {key}; if it lay open for long, make a new one")


def check_there(file: Path, what: str) -> None:
    """Raise Unreachable unless there is such a file and we may read it."""
    try:
        with file.open("rb"):
            return
    except OSError as error:
        cause = f"cannot be read: {error.strerror}"
        raise Unreachable(f"{what} {file}", cause, "Run as root, or check `bcm:` in the site file.") from error
