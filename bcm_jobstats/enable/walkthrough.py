"""How an administrator adds a generic role in Base View, where nothing here can (bcm-facts §2, §13 #1)."""

from __future__ import annotations

from bcm_jobstats.bcm.entities import CATEGORY, NODE, OVERLAY, Place

MODES = {OVERLAY: "configurationoverlay", CATEGORY: "category", NODE: "device"}
OLD = {
    OVERLAY: "Configuration Overlays > {name} > Edit > Roles > ADD",
    CATEGORY: "Grouping > Categories > {name} > Edit > Settings > Roles > Add",
    NODE: "Devices > {name} > Edit > Settings > Role > Role list > ADD",
}
"""Where Base View of BCM 10 has the roles of a place (bcm-facts §2)."""
NEW = {**OLD, NODE: "Devices > Nodes > {name} > Settings > JUMP TO > Roles"}
"""The same in BCM 11."""


def walkthrough(where: Place, role: str, version: str) -> str:
    """The steps that put an empty generic role `role` into `where`; services are filled in by `apply`."""
    path = (NEW if version.startswith("11") else OLD)[where.kind].format(name=where.name)
    return (
        f"BCM has to be told by hand that {where} gets the role {role}. In Base View:\n"
        f"  1. {path}\n"
        f"  2. Choose GenericRole and name it {role}. Leave everything else as it is: apply fills it in.\n"
        f"  3. Save, and check its name: cmsh -c '{MODES[where.kind]}; use {where.name}; roles; list'"
    )
