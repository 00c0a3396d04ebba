"""What can go wrong on the way to BCM."""

from __future__ import annotations

from bcm_jobstats.bcm.entities import Place
from bcm_jobstats.errors import ExitStatus, JobstatsError


class Unreachable(JobstatsError):
    """No answer from BCM: cmsh missing, hanging, or CMDaemon not there. Exit status 69."""

    status = ExitStatus.UNREACHABLE


class Unreadable(JobstatsError):
    """BCM answered something that cannot be understood."""


class Refused(JobstatsError):
    """CMDaemon refused a commit, or a write had no effect."""


class CannotAssign(Refused):
    """This adapter has no way to assign a new generic role here (bcm-facts §13 #1); nothing was changed."""

    def __init__(self, where: Place, role: str, tried: str) -> None:
        super().__init__(
            f"role {role} of {where}",
            f"a new generic role cannot be assigned from here ({tried})",
            "Add it in Base View, as `apply` explains at a terminal, and run the command again: it goes on there.",
        )
        self.where, self.role = where, role


class UnsafeName(JobstatsError):
    """A value that could break out of a cmsh command; it was not sent."""


class TimedOut(Unreachable):
    """cmsh was started and gave no answer in time; asking again would only double the wait."""
