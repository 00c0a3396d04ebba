"""The objects of BCM that the simulator has, and the modes of cmsh in which they live (bcm-facts §1.2, §1.7)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from bcm_jobstats.simulator.excludelists import DEFAULTS
from bcm_jobstats.simulator.otherkinds import other_schemas
from bcm_jobstats.simulator.rolekinds import role_schemas
from bcm_jobstats.simulator.schema import (
    BCM10,
    CATEGORIES,
    CHOICE,
    COMPUTED,
    LIST,
    LONG,
    NODES,
    NUMBER,
    TEXT,
    Row,
    Schema,
    Submode,
    f,
    no,
    of_profile,
    yes,
)

SERVICE = "OSServiceConfig"
CUSTOMIZATION = "ConfigurationOverlayCustomization"
"""What `add` makes in an overlay's customizations when the switch accepts it; its fields are unknown (§13 #14)."""

_SERVICES = Submode("services", "Services", (SERVICE,), format="service:24,monitored:10,autostart:10")
_ROLES = Submode("roles", "Roles", format="name:32")

_DEVICE: tuple[Row, ...] = (
    f("Activation"),
    Submode("bmcsettings", "BMC Settings", told="text"),
    f("Block devices cleared on next boot", LIST),
    f("Category"),
    f("Custom ping script"),
    no("Data node"),
    f("Default gateway", COMPUTED),
    f("Device position", NUMBER),
    f("Exclude list full install", LONG),
    f("Exclude list grab", LONG),
    f("Exclude list grab new", LONG),
    f("Exclude list sync install", LONG),
    f("Exclude list update", LONG),
    f("Hostname"),
    f("Install mode"),
    f("Ip", name="ip", attribute="ip"),
    f("MAC", TEXT, "00:00:00:00:00:00", name="mac", attribute="mac"),
    f("Network", TEXT, "internalnet"),
    f("Next install mode"),
    f("Notes", LONG),
    f("Power distribution units", LIST),
    f("Rack"),
    f("Revision"),
    _ROLES,
    _SERVICES,
    f("Software image", attribute="softwareImage"),
    Submode("staticroutes", "Static routes"),
    f("Status", COMPUTED),
    f("Switch ports", LIST),
    f("Type", COMPUTED),
)

_CATEGORY: tuple[Row, ...] = (
    f("Name"),
    f("Revision"),
    f("Software image", attribute="softwareImage"),
    f("Install mode", TEXT, "AUTO"),
    f("Default gateway"),
    f("Nodes", COMPUTED),
    _ROLES,
    _SERVICES,
    f("Exclude list full install", LONG, DEFAULTS["excludelistfullinstall"]),
    f("Exclude list sync install", LONG, DEFAULTS["excludelistsyncinstall"]),
    f("Exclude list update", LONG, DEFAULTS["excludelistupdate"]),
    f("Exclude list grab", LONG, DEFAULTS["excludelistgrab"]),
    f("Exclude list grab new", LONG, DEFAULTS["excludelistgrabnew"]),
    f("Exclude list manipulate script", LONG),
    f("Disk setup", LONG),
    f("Notes", LONG),
)

_OVERLAY: tuple[Row, ...] = (
    f("Name"),
    f("Revision"),
    no("All head nodes"),
    f("Priority", NUMBER, "500"),
    f("Nodes", NODES),
    f("Categories", CATEGORIES),
    replace(_ROLES, told="names"),
    Submode("customizations", "Customizations", format="name:32"),
)

_IMAGE: tuple[Row, ...] = (
    f("Name"),
    f("Revision"),
    f("Path"),
    f("Kernel version"),
    f("Kernel parameters"),
    f("Original image", COMPUTED),
    f("Nodes", COMPUTED),
    f("Notes", LONG),
)

_WLM: tuple[Row, ...] = (
    f("Name"),
    f("Revision"),
    f("Type", COMPUTED),
    f("Version", TEXT, "24.11"),
    f("Prefix", TEXT, "/cm/shared/apps/slurm"),
    f("Etc"),
    f("Prolog", TEXT, "/cm/local/apps/cmd/scripts/prolog"),
    f("Epilog", TEXT, "/cm/local/apps/cmd/scripts/epilog"),
    f("Prolog Slurmctld"),
    f("Epilog Slurmctld"),
    f("Task Prolog"),
    f("Task Epilog"),
    f("Srun Prolog"),
    f("Srun Epilog"),
    f("Prolog flags", LIST, ("Alloc",)),
    f("Select Type Parameters"),
    no("Enable Prejob"),
    Submode("cgroups", "Cgroups", ("WlmCgroups",), told="text", single=True),
)

_CGROUPS: tuple[Row, ...] = (
    f("Revision"),
    no("Auto mount"),
    f("Mount point", TEXT, "/sys/fs/cgroup"),
    no("Task affinity"),
    f("Release agent dir"),
    no("Constrain cores"),
    no("Constrain RAM space"),
    no("Constrain swap space"),
    no("Constrain devices"),
    f("Allowed RAM space", TEXT, "100%"),
    f("Allowed swap space", TEXT, "0%"),
    f("Max RAM percent", TEXT, "100%"),
    f("Max swap percent", TEXT, "100%"),
    f("Min RAM space", TEXT, "30MB"),
)


def _service(profile: str) -> tuple[Row, ...]:
    """A managed service: BCM 11 has another order, `always` in small letters, and Managed (§1.7)."""
    old = profile == BCM10
    words = ("ACTIVE", "PASSIVE", "ALWAYS", "PREFERPASSIVE")
    choices = words if old else tuple(word.lower() for word in words)
    if not old:
        return (
            f("Revision"),
            f("Service"),
            f("Run if", CHOICE, choices[2], choices=choices),
            no("Monitored"),
            no("Autostart"),
            yes("Managed"),
            f("Timeout", NUMBER, "-1"),
            f("Belongs to role", COMPUTED),
            f("Sickness check script"),
            f("Sickness check script timeout", NUMBER, "10"),
            f("Sickness check interval", NUMBER, "60"),
        )
    return (
        no("Autostart"),
        f("Belongs to role", COMPUTED),
        no("Monitored"),
        f("Revision"),
        f("Run if", CHOICE, choices[2], choices=choices),
        f("Service"),
        f("Sickness check interval", NUMBER, "60"),
        f("Sickness check script"),
        f("Sickness check script timeout", NUMBER, "10"),
        f("Timeout", NUMBER, "-1"),
    )


@cache
def schemas(profile: str) -> dict[str, Schema]:
    """Every schema of a version of BCM, by type."""
    wlm_columns = (f("Server nodes", COMPUTED, name="servers"), f("Submit nodes", COMPUTED, name="submits"))
    wlm = (*_WLM, *wlm_columns, f("Client nodes", COMPUTED, name="clients"))
    told = [
        Schema("HeadNode", _DEVICE, "hostname", (39, 35)),
        Schema("PhysicalNode", _DEVICE, "hostname", (39, 35)),
        Schema("LiteNode", _DEVICE, "hostname", (39, 35)),
        Schema("PowerDistributionUnit", _DEVICE, "hostname", (39, 35)),
        Schema(CUSTOMIZATION, (f("Name"), f("Revision"), no("Disabled"))),
        Schema("Category", _CATEGORY),
        Schema("ConfigurationOverlay", _OVERLAY),
        Schema("SoftwareImage", _IMAGE),
        Schema("SlurmWlmCluster", wlm),
        Schema("WlmCgroups", _CGROUPS),
        Schema(SERVICE, _service(profile), "service"),
        *role_schemas(),
        *other_schemas(),
    ]
    return {schema.kind: replace(schema, rows=of_profile(schema.rows, profile)) for schema in told}
