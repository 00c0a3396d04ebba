"""The agent's log: one line for each change, a lasting problem once and once more when it is over."""

from __future__ import annotations

from typing import Callable

from bcm_jobstats.errors import JobstatsError

WARNING, NOTICE = 4, 5
"""syslog's priorities, as systemd reads them in front of a line."""


def line(error: JobstatsError) -> str:
    """An error on one line of the log."""
    return "; ".join(part.strip() for part in str(error).splitlines() if part.strip())


def where(error: BaseException) -> str:
    """File and line of an error. The module `traceback` would cost every node half a megabyte for it."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame is not None else ""


class Messages:
    """`say` is given a priority of syslog and a line. `problems` are those of now, by what they are about."""

    def __init__(self, say: Callable[[int, str], None], dry_run: bool = False) -> None:
        self._say = say
        self._dry_run = dry_run
        self.problems: dict[str, JobstatsError] = {}
        self._changes: list[str] = []

    def found(self, text: str) -> None:
        """Something changed without our doing."""
        self._changes.append(text)
        self._say(NOTICE, text)

    def change(self, done: str, would: str) -> None:
        """We changed something, or would have: `started x`, `start x`."""
        self.found(f"would {would}" if self._dry_run else done)

    def changes(self) -> tuple[str, ...]:
        """What changed since this was last asked."""
        changes, self._changes = tuple(self._changes), []
        return changes

    def once(self, error: JobstatsError) -> None:
        """Something was wrong; it is dealt with."""
        self._say(WARNING, line(error))

    def problem(self, about: str, error: JobstatsError) -> None:
        """Something is wrong and may stay so; said when it is new or has become another one."""
        if str(self.problems.get(about)) != str(error):
            self._say(WARNING, line(error))
        # It may stay for days, and must not hold what was in hand where it arose: a list of all devices, for one.
        error.__traceback__ = error.__context__ = error.__cause__ = None
        self.problems[about] = error

    def over(self, about: str) -> None:
        """It is not wrong, or no longer."""
        error = self.problems.pop(about, None)
        if error is not None:
            self._say(NOTICE, f"{error.subject}: is in order again")
