"""What is not confirmed about BCM, in one place: each doubt has a name, a default and a fallback (design §2.3)."""

from __future__ import annotations

from dataclasses import dataclass

from bcm_jobstats.bcm.entities import CATEGORY, OVERLAY, Cluster, Place
from bcm_jobstats.bcm.port import Bcm

PROBE_ROLE = "generic::bcm-jobstats-probe"


@dataclass(frozen=True)
class Capability:
    """One unconfirmed behaviour of BCM and how the product copes (bcm-facts §13)."""

    name: str
    question: str
    default: bool
    fallback: str


ASSIGN_GENERIC_ROLE = Capability(
    "assign-generic-role",
    "Does cmsh `assign generic::NAME` make a new generic role? (bcm-facts §13 #1)",
    default=True,
    fallback="enable.mode: services",
)
FREE_REVISION = Capability(
    "free-revision",
    'Can `revision` of overlays, roles and services carry our text? `set revision "…"` is in a transcript '
    "(bcm-facts §1.2), that CMDaemon leaves it alone is an assumption.",
    default=True,
    fallback="none: every write is read back, so a BCM that alters it is refused with a clear error",
)
LIST_FIELDS = Capability(
    "list-fields",
    "Can `list -f` print softwareimage of a device, revision of an overlay, and service, monitored, autostart and "
    "revision of a service? (names from `show`, bcm-facts §1.7; the manuals list no `Valid fields`)",
    default=True,
    fallback="none: a missing column is a clear error that names it",
)
EFFECT_AT_COMMIT = Capability(
    "effect-at-commit",
    "Do services of a generic role start on running nodes at commit? (bcm-facts §13 #11)",
    default=True,
    fallback="`status` names the services that did not start; `imageupdate -w` of the category starts them",
)
RELOAD_BEFORE_RESTART = Capability(
    "reload-before-restart",
    "Does CMDaemon let systemd read a unit again (daemon-reload) before it restarts a service whose unit file "
    "imageupdate changed? (not in bcm-facts)",
    default=True,
    fallback="the node takes the new unit at its next boot, or with `systemctl daemon-reload` there",
)
ALL = (ASSIGN_GENERIC_ROLE, FREE_REVISION, LIST_FIELDS, EFFECT_AT_COMMIT, RELOAD_BEFORE_RESTART)


def can_assign_generic_role(bcm: Bcm, cluster: Cluster) -> bool:
    """Probe ASSIGN_GENERIC_ROLE: a role is assigned in a session that never commits, and looked for.

    The default stands where there is nothing to try it on.
    """
    somewhere = [Place(OVERLAY, name) for name in cluster.overlays] + [Place(CATEGORY, n) for n in cluster.categories]
    return bcm.can_assign(somewhere[0], PROBE_ROLE) if somewhere else ASSIGN_GENERIC_ROLE.default
