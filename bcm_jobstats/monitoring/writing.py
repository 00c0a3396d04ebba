"""Files that Prometheus reads, written so that it never sees half of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.manifest import write_atomically


class NotWritten(JobstatsError):
    """Shared storage did not take what was to be written or removed there."""


def put(file: Path, content: bytes, staging: Path) -> None:
    """Have the file hold that: written in `staging` and moved. Raises NotWritten."""
    if not staging.is_dir():
        raise NotWritten(str(staging), "there is no such folder", "`bcm-jobstats apply` makes it.")
    _done(staging / file.name, lambda: write_atomically(staging / file.name, content))
    _done(file, lambda: (staging / file.name).replace(file))


def take_away(file: Path) -> None:
    """Remove a file, if it is there. Raises NotWritten."""
    _done(file, lambda: file.unlink(missing_ok=True))


def _done(path: Path, work: Callable[[], object]) -> None:
    try:
        work()
    except IsADirectoryError as error:
        at = Path(error.filename2 or error.filename or path)
        raise NotWritten(str(at), "is a folder", "Move it away and run the command again.") from error
    except OSError as error:
        remedy = "Is shared storage full or read-only, and may this user write there?"
        raise NotWritten(str(path), f"cannot be written ({error.strerror})", remedy) from error
