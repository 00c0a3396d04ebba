"""What can go wrong on the way to BCM."""

from __future__ import annotations

from bcm_jobstats.errors import ExitStatus, JobstatsError


class Unreachable(JobstatsError):
    """No answer from BCM: cmsh missing, hanging, or CMDaemon not there. Exit status 69."""

    status = ExitStatus.UNREACHABLE


class Unreadable(JobstatsError):
    """BCM answered something that cannot be understood."""


class Refused(JobstatsError):
    """CMDaemon refused a commit, or a write had no effect."""


class UnsafeName(JobstatsError):
    """A value that could break out of a cmsh command; it was not sent."""


class TimedOut(Unreachable):
    """cmsh was started and gave no answer in time; asking again would only double the wait."""
