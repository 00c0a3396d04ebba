"""The exit contract and the base of every error a user can cause or cure (design §6)."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """What `bcm-jobstats` tells the shell."""

    OK = 0
    FAILED = 1
    CHANGES = 2
    USAGE = 64
    BAD_SITE = 65
    UNREACHABLE = 69
    BUSY = 75
    INTERRUPTED = 130


class JobstatsError(Exception):
    """An error with a name for the thing that is wrong, why, and what to do about it.

    `status` is the exit status of the command that meets it.
    """

    status = ExitStatus.FAILED

    def __init__(self, subject: str, cause: str, remedy: str = "") -> None:
        super().__init__(subject, cause, remedy)
        self.subject = subject
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{printable(self.subject)}: {printable(self.cause, kept=BREAKS)}"
        return f"{text}\n  {self.remedy}" if self.remedy else text


BREAKS = "\n\t"


def printable(text: str, kept: str = "") -> str:
    """`text` for a terminal: what is not a visible character or `kept` is written as an escape such as \\x1b.

    Names come from BCM, and whoever chose them must not get to move the cursor of an administrator.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in kept else one.encode("unicode_escape").decode() for one in text)
