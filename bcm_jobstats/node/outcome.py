"""What one round of the agent came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Optional

from bcm_jobstats.errors import JobstatsError


class Outcome(NamedTuple):
    """The node as the agent left it."""

    host: Optional[str]
    """The node's name; None when it has none that can be one."""
    role: str
    """The followed role."""
    has: Optional[bool]
    """Whether the node has it as far as is known; None when nobody ever said."""
    since: Optional[float]
    """Since when that is known; seconds since 1970."""
    wait: float
    """Seconds until the next round."""
    unknown: Optional[JobstatsError] = None
    """Why BCM's answer is not known now; `has` is then the last one."""
    services: Mapping[str, str] = {}
    """service -> ActiveState, or `missing`; empty when systemd cannot be asked."""
    targets: Mapping[str, bool] = {}
    """target file of this node -> whether it is there; one that cannot be told about is left out."""
    changes: tuple[str, ...] = ()
    """What was done in this round, or with dry_run would be; one line each."""
    problems: tuple[JobstatsError, ...] = ()
    """Everything that is wrong now, `unknown` included."""
