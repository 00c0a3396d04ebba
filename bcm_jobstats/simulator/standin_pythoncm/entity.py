"""The entities: local copies of BCM's objects, whose attributes are the camelCase names of JSON (bcm-facts §7)."""

from __future__ import annotations

import uuid
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from .release import KEY, OLD_KEYS

if TYPE_CHECKING:
    from .cluster import Cluster

REFERENCES = {
    "category": "Category",
    "categories": "Category",
    "nodes": "Device",
    "parentSoftwareImage": "SoftwareImage",
    "wlmCluster": "WlmCluster",
}
"""Attributes that hold other entities, and what these are."""


CONNECTED: list[Cluster] = []
"""The cluster that was connected last."""


class Result:
    """What became of a commit or removal."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.good = bool(told.get("success"))
        self.validation = list(told.get("validation", []))

    def __str__(self) -> str:
        lines = [f"{row.get('severity')}: {row.get('field')}: {row.get('message')}" for row in self.validation]
        return "\n".join(["good" if self.good else "failed", *lines])


class Entity:
    """One object, or a sub-entity of one. Attributes that its type does not have cannot be set."""

    BASE, CHILD = "", ""
    DEFAULTS: dict[str, Any] = {}

    def __init__(self) -> None:
        removed = "toBeRemoved" if OLD_KEYS else "to_be_removed"
        common = {"baseType": self.BASE, "childType": self.CHILD, KEY: str(uuid.uuid4()), "revision": ""}
        values = {**common, removed: False, "modified": True, "extra_values": None, **deepcopy(self.DEFAULTS)}
        self.__dict__.update(_values=values, _cluster=None, _old=False)

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("_values", {})
        if name not in values:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        return values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dict__["_values"]:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        self.__dict__["_values"][name] = value

    def __str__(self) -> str:
        values = self.__dict__["_values"]
        return str(values.get("hostname") or values.get("name") or values[KEY])

    def to_dict(self) -> dict[str, Any]:
        """The entity as JSON has it: sub-entities within it, others by their keys."""
        return {name: _plain(name, value) for name, value in self.__dict__["_values"].items()}

    def commit(self) -> Result:
        """Write the whole entity: a sub-entity with the one that it was appended to.

        How a new object without a parent comes to its cluster is not in the facts: here it is the last one connected.
        """
        cluster = self._where()
        result = cluster.write(self.to_dict(), new=not self.__dict__["_old"])
        if result.good:
            self.__dict__["_old"] = True
        return result

    def remove(self) -> Result:
        """Remove the object at once."""
        return self._where().erase(self.to_dict())

    def _where(self) -> Cluster:
        cluster: Cluster | None = self.__dict__["_cluster"] or next(iter(CONNECTED), None)
        if cluster is None:
            raise ValueError("not connected to a cluster")
        return cluster


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(name, one) for one in value]
    if isinstance(value, Entity):
        return getattr(value, KEY) if name in REFERENCES else value.to_dict()
    return value


class Node(Entity):
    """Any node; JSON has only its kinds."""

    BASE = "Device"
    DEFAULTS = {"hostname": "", "mac": "", "category": None, "softwareImageProxy": None, "roles": [], "services": []}


class PhysicalNode(Node):
    """A regular node."""

    CHILD = "PhysicalNode"


class HeadNode(Node):
    """A head node."""

    CHILD = "HeadNode"


class LiteNode(Node):
    """A node that BCM does not provision."""

    CHILD = "LiteNode"


class Category(Entity):
    """A category of nodes."""

    BASE = "Category"
    DEFAULTS = {"name": "", "softwareImageProxy": None, "roles": [], "services": []}


class SoftwareImage(Entity):
    """A software image."""

    BASE = "SoftwareImage"
    DEFAULTS = {"name": "", "path": "", "kernelParameters": ""}


class ConfigurationOverlay(Entity):
    """A configuration overlay (bcm-facts §2)."""

    BASE = "ConfigurationOverlay"
    DEFAULTS = {"name": "", "priority": 500, "allHeadNodes": False, "nodes": [], "categories": [], "roles": []}


class GenericRole(Entity):
    """A generic role (bcm-facts §3.2)."""

    BASE, CHILD = "Role", "GenericRole"
    DEFAULTS = {
        **{"name": "", "addServices": True, "provisioningAssociations": [], "services": [], "configuration": []},
        **{"extraEnvironment": [], "excludeListSnippets": [], "dataNode": False},
    }


class OSServiceConfig(Entity):
    """A managed service (bcm-facts §3.3)."""

    BASE = "OSServiceConfig"
    DEFAULTS = {
        **{"name": "", "monitored": False, "autostart": False, "runIf": "ALWAYS", "scriptTimeout": -1},
        **({} if OLD_KEYS else {"managed": True}),
        **{"sicknessCheckScript": "", "sicknessCheckScriptTimeout": 10, "sicknessCheckInterval": 60},
    }


_CLASSES: tuple[type[Entity], ...] = (
    *(PhysicalNode, HeadNode, LiteNode, Category, SoftwareImage),
    *(ConfigurationOverlay, GenericRole, OSServiceConfig),
)
_BY_TYPE: dict[tuple[str, str], type[Entity]] = {(one.BASE, one.CHILD): one for one in _CLASSES}


def from_json(told: dict[str, Any], cluster: Cluster | None = None) -> Entity:
    """The entity that JSON describes, with its sub-entities; references in it are still keys."""
    kind = _BY_TYPE.get((str(told.get("baseType")), str(told.get("childType"))), Entity)
    made = kind()
    made.__dict__.update(_cluster=cluster, _old=True)
    made.__dict__["_values"] = {name: _nested(value) for name, value in told.items()}
    return made


def _nested(value: Any) -> Any:
    if isinstance(value, list):
        return [_nested(one) for one in value]
    return from_json(value) if isinstance(value, dict) and "baseType" in value else value
