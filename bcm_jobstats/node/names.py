"""The name of this node: the short one in lower case, the one spelling of all targets (peers C1)."""

from __future__ import annotations

import re
from typing import Callable

from bcm_jobstats.errors import JobstatsError

LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
"""One label of a host name (RFC 1123); it becomes a file name and a Prometheus label, as in scripts/jobstats-target."""


def short(host: str) -> str:
    """`host` without its domain; JobstatsError when that is not the name of a node."""
    name = host.split(".", 1)[0].lower()
    if not re.fullmatch(LABEL, name) or name == "localhost":
        raise JobstatsError(f"host name {host[:80]!r}", "is not the name of a node", "BCM gives nodes their names.")
    return name


def current(gethostname: Callable[[], str]) -> str:
    """The name that this machine has now, which may be another than a minute ago. Raises JobstatsError."""
    try:
        return short(gethostname())
    except OSError as error:
        raise JobstatsError("host name", str(error), "BCM gives nodes their names.") from error
