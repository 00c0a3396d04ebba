"""The words of `cmha`.

Only the first entry of RUNNING is from a transcript (bcm-facts §10). All others are invented, in its manner: nobody
may match on them.
"""

from __future__ import annotations

from bcm_jobstats.simulator.ha import ACTIVE, BECOMEACTIVE, BECOMEPASSIVE, PASSIVE

RUNNING = {
    ACTIVE: "running in active master mode",
    PASSIVE: "running in passive mode",
    BECOMEACTIVE: "becoming the active master",
    BECOMEPASSIVE: "becoming passive",
}
DOWN = "not running"
UNREACHABLE = "Unable to connect to CMDaemon\n"
SINGLE = "This cluster is not a high availability cluster: it has one head node\n"
NOT_SIMULATED = "simulator: cmha dbreclone is not simulated: there is one database\n"
USAGE = "Usage: cmha status | makeactive [node] | dbreclone <host> | nodestatus [name]\n"
"""The sub-commands are those of bcm-facts §10; the line is invented."""


def no_head(name: str) -> str:
    """`nodestatus` of something else than a head node."""
    return f"No such head node: {name}\n"


def already_active(name: str) -> str:
    """`makeactive` of the active head."""
    return f"{name} is the active head node already\n"


def became_active(name: str) -> str:
    """`makeactive` that worked."""
    return f"{name} is the active head node now\n"


def cannot_become_active(name: str) -> str:
    """`makeactive` of a head that is down, or is none."""
    return f"{name} cannot become the active head node\n"
