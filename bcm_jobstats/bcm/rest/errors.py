"""What can go wrong with CMDaemon's JSON and REST interface, beyond bcm/errors.py."""

from __future__ import annotations

from bcm_jobstats.bcm.errors import Refused, Unreachable, Unreadable
from bcm_jobstats.errors import JobstatsError


class Forbidden(Refused):
    """The certificate's profile has no right to the call (bcm-facts §8.1)."""


class UnknownCall(JobstatsError):
    """CMDaemon has no such service or call (bcm-facts §8.1)."""


class Truncated(Unreadable):
    """The answer broke off; a read is asked again."""


class Untrusted(Unreachable):
    """What answers there has no certificate of BCM's authority for that name; asking again would not help."""


class ReadOnly(JobstatsError):
    """The JSON interface is not used for this: its calls are not confirmed."""

    def __init__(self, what: str) -> None:
        super().__init__(what, "the JSON interface is used for reading only", "Use --bcm cmsh.")
