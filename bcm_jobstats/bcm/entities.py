"""BCM's objects as far as bcm_jobstats needs them, typed (bcm-facts §1.7, §2, §3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

OVERLAY, CATEGORY, NODE = "overlay", "category", "node"
GENERIC = "generic::"
"""How the names of generic roles begin in cmsh (bcm-facts §3.1)."""
IGNORED_PRIORITY = -1
"""An overlay with this priority is ignored by BCM (bcm-facts §2)."""


@dataclass(frozen=True)
class Place:
    """Where roles and services can be put: an overlay, a category or a node."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


def place(text: str) -> Place:
    """The Place that was written as `kind/name`."""
    kind, _, name = text.partition("/")
    return Place(kind, name)


@dataclass(frozen=True)
class Overlay:
    """A configuration overlay: roles for a set of nodes (bcm-facts §2)."""

    name: str
    priority: int = 500
    all_head_nodes: bool = False
    nodes: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    revision: str = ""


@dataclass(frozen=True)
class GenericRole:
    """A generic role: the services it brings to a node (bcm-facts §3.2). `name` includes `generic::`."""

    name: str
    services: tuple[str, ...] = ()
    revision: str = ""


@dataclass(frozen=True)
class Service:
    """A service CMDaemon looks after; `name` is the systemd unit without `.service` (bcm-facts §3.3)."""

    name: str
    monitored: bool = False
    autostart: bool = False
    revision: str = ""


@dataclass(frozen=True)
class Category:
    """A category of nodes and its software image."""

    name: str
    image: str


@dataclass(frozen=True)
class Node:
    """A device; `type` is HeadNode, PhysicalNode, …; `image` is set only when it overrides the category's."""

    name: str
    type: str
    category: str = ""
    image: str = ""
    status: str = ""

    @property
    def is_head(self) -> bool:
        """Head nodes have no software image."""
        return self.type == "HeadNode"

    @property
    def is_up(self) -> bool:
        """Whether CMDaemon sees the node up."""
        return "UP" in self.status.split()


@dataclass(frozen=True)
class SoftwareImage:
    """A software image and its directory on the head node."""

    name: str
    path: str


@dataclass(frozen=True)
class WlmCluster:
    """A workload manager cluster; the name of a Slurm one is its ClusterName.

    `etc` is the directory of slurm.conf, `version` Slurm's, each empty when it is not known. `settings` are those of
    wlmsettings.py that BCM told, by their names in cmsh; of another workload manager there are none.
    """

    name: str
    type: str
    etc: str = ""
    version: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Producer:
    """A monitoring data producer: CMDaemon samples Prometheus exporters on the nodes of its places (bcm-facts §9)."""

    name: str
    urls: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    revision: str = ""


@dataclass(frozen=True)
class Cluster:
    """What was read from BCM in one go. Mappings are by name; roles and services are those put there itself."""

    version: str
    overlays: Mapping[str, Overlay]
    categories: Mapping[str, Category]
    nodes: Mapping[str, Node]
    images: Mapping[str, SoftwareImage]
    wlms: Mapping[str, WlmCluster]
    roles: Mapping[Place, tuple[str, ...]] = field(default_factory=dict)
    generic: Mapping[Place, Mapping[str, GenericRole]] = field(default_factory=dict)
    services: Mapping[Place, Mapping[str, Service]] = field(default_factory=dict)
    unseen: tuple[Place, ...] = ()
    """Overlays and categories that could not be asked about: their names mean something to cmsh."""

    def places_with(self, role: str) -> list[Place]:
        """Where a role is assigned, compared case-insensitively (bcm-facts §1.7)."""
        return [where for where, roles in self.roles.items() if role.lower() in {name.lower() for name in roles}]

    def members(self, where: Place) -> list[Node]:
        """The nodes of an overlay (nodes, categories and heads united, bcm-facts §2), a category, or a node itself."""
        if where.kind == NODE:
            return [self.nodes[where.name]] if where.name in self.nodes else []
        if where.kind == CATEGORY:
            return [node for node in self.nodes.values() if node.category == where.name]
        overlay = self.overlays.get(where.name)
        if overlay is None:
            return []
        named, categories = set(overlay.nodes), set(overlay.categories)
        return [
            node
            for node in self.nodes.values()
            if node.name in named or node.category in categories or (overlay.all_head_nodes and node.is_head)
        ]

    def image_of(self, node: Node) -> Optional[str]:
        """The node's software image: its own, else its category's (bcm-facts §6); None for head nodes."""
        category = self.categories.get(node.category)
        return node.image or (category.image if category else None)
