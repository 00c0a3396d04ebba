"""Tables as the older of two manuals shows them, by the switch `layouts` (bcm-facts §1.7)."""

from __future__ import annotations

from collections.abc import Iterable

from bcm_jobstats.simulator import tables
from bcm_jobstats.simulator.noderanges import collapse
from bcm_jobstats.simulator.rolekinds import GENERIC
from bcm_jobstats.simulator.session import Session
from bcm_jobstats.simulator.tables import Column

OVERLAY_WIDTHS = (("Name (key)", 19), ("Priority", 8), ("Nodes", 17), ("Categories", 10), ("Roles", 28))
"""No line of dashes is shown there: the widths are those of the header and of the cell that is cut."""


def older_overlays(session: Session) -> tuple[list[Column], list[tables.Line]]:
    """The overlay list of the BCM 10 containerization manual: no `All head nodes`, role lists cut, ``Etcd::Host``."""
    rows: list[tables.Line] = []
    for name, overlay in sorted(session.places.entries().items()):
        roles = ", ".join(_capitalised(role) for role in sorted(overlay.entries("roles")))
        nodes, categories = (overlay.values.get(field, ()) for field in ("nodes", "categories"))
        rows.append((name, str(overlay.values.get("priority", "500")), _joined(nodes), ",".join(categories), roles))
    return [Column(header, width, width) for header, width in OVERLAY_WIDTHS], rows


def _joined(nodes: Iterable[str]) -> str:
    return ",".join(collapse(nodes))


def _capitalised(role: str) -> str:
    """``etcd::host`` was ``Etcd::Host``; generic roles are in small letters there too."""
    if role.startswith(GENERIC) or "::" not in role:
        return role
    return "::".join(part.capitalize() for part in role.split("::"))


PROVISIONING_NEWER = """Provisioning subsystem status
Pending request: {waiting}
Provisioning node status:
+ {head}
Slots: {busy} / {slots}
State: running
Active nodes: {active}
Up to date images: {images}
"""
"""The newer layout of `provisioningstatus`; what stands there when nothing is pending or active is an assumption."""

PROVISIONING_OLDER = """Provisioning subsystem status:
  {state}, accepting requests
Update of provisioning nodes requested: no
Maximum number of nodes provisioning: 10000
Nodes currently provisioning: {busy}
Nodes waiting to be provisioned: {waiting}
Provisioning node {head}:
  Max number of provisioning nodes: {slots}
  Nodes provisioning: {busy}
  Nodes currently being provisioned: {active}
"""
"""As in bcm-facts §1.7; what stands there while nodes are provisioned is an assumption."""
