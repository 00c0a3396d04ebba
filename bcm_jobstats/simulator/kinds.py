"""The objects of BCM that the simulator has, and the modes of cmsh in which they live (bcm-facts §1.2, §1.7)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from bcm_jobstats.simulator.rolekinds import role_schemas
from bcm_jobstats.simulator.schema import (
    BCM10,
    BCM11,
    BOOL,
    CATEGORIES,
    CHOICE,
    COMPUTED,
    FIXED,
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

_SERVICES = Submode("services", "Services", (SERVICE,), format="service:24,monitored:10,autostart:10")
_ROLES = Submode("roles", "Roles", format="name:32")

_DEVICE: tuple[Row, ...] = (
    f("Hostname"),
    f("Type", COMPUTED),
    f("Revision"),
    f("MAC", TEXT, "00:00:00:00:00:00", name="mac", attribute="mac"),
    f("Category"),
    f("Ip", name="ip", attribute="ip"),
    f("Network", TEXT, "internalnet"),
    f("Software image", attribute="softwareImage"),
    f("Rack"),
    f("Device position", NUMBER),
    f("Custom ping script"),
    no("Data node"),
    f("Next install mode"),
    _ROLES,
    _SERVICES,
    f("Exclude list grab", LONG),
    f("Exclude list update", LONG),
    f("Notes", LONG),
    f("Status", COMPUTED),
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
    f("Exclude list full install", LONG),
    f("Exclude list sync install", LONG),
    f("Exclude list update", LONG),
    f("Exclude list grab", LONG),
    f("Exclude list grab new", LONG),
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
    Submode("customizations", "Customizations"),
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
    """A managed service: BCM 11 spells `always` small and adds Managed (bcm-facts §1.7)."""
    old = profile == BCM10
    words = ("ACTIVE", "PASSIVE", "ALWAYS", "PREFERPASSIVE")
    choices = words if old else tuple(word.lower() for word in words)
    rows: tuple[Row, ...] = (
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
    return rows if old else (*rows, yes("Managed", profiles=(BCM11,)))


@dataclass(frozen=True)
class Mode:
    """A top-level mode: the types of its objects, the one that a bare `add NAME` makes, and how `list` looks."""

    name: str
    kinds: tuple[str, ...]
    what: str
    plural: str
    """As counted after removals: ``Successfully removed 1 Devices`` (bcm-facts §1.5)."""
    format: str
    key: str = "name"


_FORMAT_DEVICE = "type:22,hostname:[16-32],mac:18,category:[16-32],ip:15,network:[14-32],status:[16-32]"
_FORMAT_OVERLAY = "name:20,priority:10,allheadnodes:14,nodes:16,categories:16,roles:16"

MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("device", ("HeadNode", "PhysicalNode"), "device", "Devices", _FORMAT_DEVICE, "hostname"),
        Mode("category", ("Category",), "category", "Categories", "name:24,softwareimage:24,nodes:8"),
        Mode("configurationoverlay", ("ConfigurationOverlay",), "overlay", "ConfigurationOverlays", _FORMAT_OVERLAY),
        Mode(
            "softwareimage", ("SoftwareImage",), "image", "SoftwareImages", "name:20,path:28,kernelversion:32,nodes:8"
        ),
        Mode(
            "wlm", ("SlurmWlmCluster",), "WLM cluster", "WlmClusters", "type:7,name:21,servers:12,submits:16,clients:16"
        ),
        Mode("main", (), "", "", ""),
    )
}

OTHER_MODES = frozenset(
    [
        "beegfs",
        "ceph",
        "cert",
        "cloud",
        "cmjob",
        "edgesite",
        "etcd",
        "fspart",
        "group",
        "hierarchy",
        "kubernetes",
        "monitoring",
        "network",
        "nodegroup",
        "partition",
        "process",
        "profile",
        "rack",
        "session",
        "task",
        "unmanagednodeconfiguration",
        "user",
    ]
)
"""Modes of the real cmsh that are not simulated (bcm-facts §1.2)."""


@cache
def schemas(profile: str) -> dict[str, Schema]:
    """Every schema of a version of BCM, by type."""
    wlm_columns = (f("Server nodes", COMPUTED, name="servers"), f("Submit nodes", COMPUTED, name="submits"))
    wlm = (*_WLM, *wlm_columns, f("Client nodes", COMPUTED, name="clients"))
    told = [
        Schema("HeadNode", _DEVICE, "hostname", (39, 35)),
        Schema("PhysicalNode", _DEVICE, "hostname", (39, 35)),
        Schema("Category", _CATEGORY),
        Schema("ConfigurationOverlay", _OVERLAY),
        Schema("SoftwareImage", _IMAGE),
        Schema("SlurmWlmCluster", wlm),
        Schema("WlmCgroups", _CGROUPS),
        Schema(SERVICE, _service(profile), "service"),
        *role_schemas(),
    ]
    return {schema.kind: replace(schema, rows=of_profile(schema.rows, profile)) for schema in told}


__all__ = ["BOOL", "FIXED", "MODES", "OTHER_MODES", "SERVICE", "Mode", "schemas"]
