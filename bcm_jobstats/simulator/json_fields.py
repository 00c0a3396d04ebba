"""How the objects of cmsh look in JSON: types and attribute names (bcm-facts §2, §3.2, §3.3, §6, §8.1).

Attributes that no fact names are the camelCase of cmsh's label. That `mask` is cmsh's *Filemask directory*, and the
names `GenericRoleStaticConfiguration` and `fileMask`, are guesses: a configuration's subclass is not documented
(bcm-facts §13 #7).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from bcm_jobstats.simulator.kinds import SERVICE, schemas
from bcm_jobstats.simulator.rolekinds import OTHER_CONFIGURATIONS
from bcm_jobstats.simulator.schema import COMPUTED, FIXED, Field

TYPES: dict[str, tuple[str, str]] = {
    "HeadNode": ("Device", "HeadNode"),
    "PhysicalNode": ("Device", "PhysicalNode"),
    "LiteNode": ("Device", "LiteNode"),
    "PowerDistributionUnit": ("Device", "PowerDistributionUnit"),
    "Category": ("Category", ""),
    "ConfigurationOverlay": ("ConfigurationOverlay", ""),
    "SoftwareImage": ("SoftwareImage", ""),
    "SlurmWlmCluster": ("WlmCluster", "SlurmWlmCluster"),
    "WlmCgroups": ("WlmCgroups", ""),
    SERVICE: (SERVICE, ""),
    **{
        kind: ("GenericRoleConfiguration", f"GenericRole{kind.capitalize()}Configuration")
        for kind in ("static", *OTHER_CONFIGURATIONS)
    },
    "GenericRoleEnvironment": ("GenericRoleEnvironment", ""),
    "ExcludeListSnippet": ("ExcludeListSnippet", ""),
}
"""baseType and childType; every other kind is a Role."""

_LISTS = {
    "excludelistfullinstall": "excludeListFull",
    "excludelistsyncinstall": "excludeListSync",
    "excludelistgrabnew": "excludeListGrabnew",
}
_NAMES: dict[str, dict[str, str]] = {
    **dict.fromkeys(("Category", "HeadNode", "PhysicalNode", "LiteNode"), _LISTS),
    SERVICE: {"service": "name", "timeout": "scriptTimeout"},
    **{kind: {"filemaskdirectory": "mask", "filemask": "fileMask"} for kind in ("static", *OTHER_CONFIGURATIONS)},
}
_LEFT_OUT = {"ip", "network", "provisioningassociations"}
"""A device's address is in its interfaces; associations are used internally."""

REFERENCES = {"category": "category", "wlmcluster": "wlm", "nodes": "device", "categories": "category"}
"""Fields that refer to objects, and the mode of these."""

IMAGE_PROXY = "softwareImageProxy"
MASKS = ("filemask", "filemaskdirectory")
SUBMODES = {
    "roles": "roles",
    "services": "services",
    "configurations": "configuration",
    "environments": "extraEnvironment",
    "excludelistsnippets": "excludeListSnippets",
}
"""The submodes that JSON shows as lists of sub-entities; `configuration` is singular (bcm-facts §3.2)."""

NIL = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Keys:
    """The common keys that differ between versions (bcm-facts §8.1)."""

    uuid: str
    removed: str
    parent: str = ""


KEYS = {"bcm10": Keys("uniqueKey", "toBeRemoved"), "bcm11": Keys("uuid", "to_be_removed", "parent_uuid")}


@dataclass(frozen=True)
class Attribute:
    """A field by its name in JSON; `refers` is the mode of the objects that it names."""

    name: str
    field: Field
    refers: str = ""


def base_type(kind: str) -> str:
    """The baseType of a kind."""
    return TYPES.get(kind, ("Role", kind))[0]


def child_type(kind: str) -> str:
    """The childType of a kind, empty when it has no children."""
    return TYPES.get(kind, ("Role", kind))[1]


@cache
def attributes(profile: str, kind: str) -> tuple[Attribute, ...]:
    """The plain attributes of a kind: what is computed, fixed or told otherwise is not among them."""
    device = TYPES.get(kind, ("", ""))[0] == "Device"
    found = []
    for field in schemas(profile)[kind].fields.values():
        other = field.type in (COMPUTED, FIXED) and field.name != "name"
        if other or field.name == "softwareimage" or (field.name in _LEFT_OUT and (device or field.name != "ip")):
            continue
        name = _NAMES.get(kind, {}).get(field.name) or _camel(field)
        found.append(Attribute(name, field, REFERENCES.get(field.name, "")))
    return tuple(found)


def has_image(profile: str, kind: str) -> bool:
    """Whether a kind refers to a software image, which JSON shows as a proxy."""
    return "softwareimage" in schemas(profile)[kind].fields


def lists(profile: str, kind: str) -> dict[str, str]:
    """The submodes of a kind that JSON shows, with their names there."""
    return {name: SUBMODES[name] for name in schemas(profile)[kind].submodes if name in SUBMODES}


def _camel(field: Field) -> str:
    """A label such as ThreadsPerCore is camelCase already, but for its first letter."""
    if " " not in field.label and re.search("[a-z][A-Z]", field.label):
        return field.label[0].lower() + field.label[1:]
    return field.attribute
