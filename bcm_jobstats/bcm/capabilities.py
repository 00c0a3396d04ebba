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
ROLE_SERVICES_ARE_LISTED = Capability(
    "role-services-are-listed",
    "Does a node's `services; list` show the services that its roles bring? (they can be `use`d there, bcm-facts §3.3)",
    default=True,
    fallback="none needed: a listed service that a role of ours brings is not taken for the node's own",
)
SUBMODES_IN_FOREACH = Capability(
    "submodes-in-foreach",
    "Does `foreach -l ROLE (get hostname; roles; list)` enter submodes, and see inherited roles? (bcm-facts §1.6, [U])",
    default=True,
    fallback="none: an answer of another form is a clear error",
)
CLEAR_EMPTIES_LISTS = Capability(
    "clear-empties-lists",
    "Does `clear nodes` leave an empty list? (bcm-facts §1.5: depends on the type)",
    default=True,
    fallback="none: every write is read back",
)
QUIT_DISCARDS = Capability(
    "quit-discards",
    "Are changes dropped when cmsh ends at an error before `commit`? (bcm-facts §13 #4)",
    default=True,
    fallback="none: every write is read back, and the same command completes it",
)
UPDATE_TELLS_ITS_END = Capability(
    "update-tells-its-end",
    "Does `imageupdate -w --wait` end with a line that says completed, and say failed otherwise? (bcm-facts §6)",
    default=True,
    fallback="the step fails with cmsh's last words, and the same command goes on there",
)
EQUAL_PRIORITIES = Capability(
    "equal-priorities",
    "Which of two overlays of one priority gives a node its role? (bcm-facts §13 #16)",
    default=True,
    fallback="ours carry the same role, so either will do; a different role of that name is noted in the plan",
)
ALL = (
    ASSIGN_GENERIC_ROLE,
    FREE_REVISION,
    LIST_FIELDS,
    EFFECT_AT_COMMIT,
    RELOAD_BEFORE_RESTART,
    ROLE_SERVICES_ARE_LISTED,
    SUBMODES_IN_FOREACH,
    CLEAR_EMPTIES_LISTS,
    QUIT_DISCARDS,
    UPDATE_TELLS_ITS_END,
    EQUAL_PRIORITIES,
)


def can_assign_generic_role(bcm: Bcm, cluster: Cluster) -> bool:
    """Probe ASSIGN_GENERIC_ROLE: a role is assigned in a session that never commits, and looked for.

    The default stands where there is nothing to try it on.
    """
    places = [Place(OVERLAY, name) for name in cluster.overlays] + [Place(CATEGORY, n) for n in cluster.categories]
    somewhere = [where for where in places if where not in cluster.unseen]
    return bcm.can_assign(somewhere[0], PROBE_ROLE) if somewhere else ASSIGN_GENERIC_ROLE.default
