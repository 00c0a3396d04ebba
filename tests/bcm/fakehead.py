"""A head node in memory, told of by entities like pythoncm's (bcm-facts §7), and ways in which it misbehaves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Callable, Optional

from bcm_jobstats.bcm.entities import Category, Cluster, Node, Overlay, Place, SoftwareImage
from bcm_jobstats.bcm.pythoncm.load import Session


@dataclass
class Head:
    """A head node: its objects by type and name, and how it takes commits. Sessions get copies."""

    tables: dict[str, dict[str, SimpleNamespace]]
    commit: Callable[[SimpleNamespace], Any]
    commits: int = 0
    sessions: int = 0

    def connect(self) -> Session:
        self.sessions += 1
        return Session(Connection(self), Entity(self))


@dataclass
class Connection:
    head: Head

    def get_by_type(self, kind: str) -> list[Any]:
        return [copied(one) for one in self.head.tables[kind].values()]

    def get_by_name(self, name: str, kind: str) -> Any:
        one = self.head.tables[kind].get(name)
        return one and copied(one)


@dataclass
class Entity:
    head: Head

    def ConfigurationOverlay(self) -> Any:  # noqa: N802  # a class of pythoncm
        return made(self.head, "ConfigurationOverlay", priority=500, allHeadNodes=False, nodes=[], categories=[])

    def GenericRole(self) -> Any:  # noqa: N802  # a class of pythoncm
        return role("", "")

    def OSServiceConfig(self) -> Any:  # noqa: N802  # a class of pythoncm
        return SimpleNamespace(name="", monitored=False, autostart=False, revision="")


def role(name: str, *services: str, kind: str = "GenericRole") -> SimpleNamespace:
    return SimpleNamespace(childType=kind, name=name, services=list(services), revision="")


def made(head: Optional[Head], kind: str, **told: Any) -> SimpleNamespace:
    one = SimpleNamespace(**{"kind": kind, "childType": "", "revision": "", "roles": [], "services": [], **told})
    if head:
        bound(one, head)
    return one


def bound(one: SimpleNamespace, head: Head) -> None:
    one.head, one.commit, one.remove = head, lambda: committed(one, head), lambda: removed(one, head)


def copied(one: SimpleNamespace) -> SimpleNamespace:
    copy = SimpleNamespace(**vars(one))
    for key, value in vars(one).items():
        if key in {"roles", "services"} and isinstance(value, list):
            setattr(copy, key, [SimpleNamespace(**vars(child)) for child in value])
        elif isinstance(value, list):
            setattr(copy, key, list(value))
    bound(copy, one.head)
    return copy


def committed(one: SimpleNamespace, head: Head) -> Any:
    head.commits += 1
    return head.commit(one)


def removed(one: SimpleNamespace, head: Head) -> Any:
    head.commits += 1
    result = head.commit(one)
    if result.good and head.commit is not ignores:
        del head.tables[one.kind][one.name]
    return result


def takes(one: SimpleNamespace) -> Any:
    one.head.tables[one.kind][getattr(one, "hostname", None) or one.name] = copied(one)
    return SimpleNamespace(good=True)


class Verdict:
    """A result that is not good, whose text says why."""

    good = False

    def __str__(self) -> str:
        return "failed\nERROR: priority: The priority is not allowed"


def refuses(one: SimpleNamespace) -> Any:
    return Verdict()


def breaks(one: SimpleNamespace) -> Any:
    raise ConnectionResetError("the connection was lost")


def takes_and_breaks(one: SimpleNamespace) -> Any:
    takes(one)
    raise ConnectionResetError("the connection was lost")


def drops(one: SimpleNamespace) -> Any:
    """Sub-entities that it does not understand are dropped silently (bcm-facts §8.1)."""
    kept = copied(one)
    kept.roles, kept.services = [], []
    return takes(kept)


def empties(one: SimpleNamespace) -> Any:
    kept = copied(one)
    for child in (*kept.roles, *kept.services):
        child.revision = ""
    kept.revision = ""
    return takes(kept)


def ignores(one: SimpleNamespace) -> Any:
    return SimpleNamespace(good=True)


def head(commit: Callable[[SimpleNamespace], Any] = takes) -> Head:
    image = SimpleNamespace(name="image")
    category = made(None, "Category", name="c", softwareImageProxy=SimpleNamespace(parentSoftwareImage=image))
    nodes = {n: made(None, "Node", hostname=n, childType="PhysicalNode", category=category) for n in ("n1", "n2")}
    there = made(None, "ConfigurationOverlay", name="o", priority=500, allHeadNodes=False, nodes=[], categories=[])
    there.roles = [role("slurmclient", kind="SlurmClientRole")]
    told = Head({"ConfigurationOverlay": {"o": there}, "Category": {"c": category}, "Node": nodes}, commit)
    for table in told.tables.values():
        for one in table.values():
            bound(one, told)
    return told


@dataclass
class Cmsh:
    """What cmsh says of the same head; `calls` is what it is called for a generic role."""

    told: Head
    calls: Callable[[str], str] = lambda name: name
    made: list[str] = field(default_factory=list)

    def read(self, roles: Collection[str] = (), *, every_node: bool = False) -> Cluster:
        nodes = {name: Node(name, "PhysicalNode", "c", status="UP") for name in self.told.tables["Node"]}
        held = {}
        for kind, table in (("overlay", "ConfigurationOverlay"), ("category", "Category"), ("node", "Node")):
            for name, one in self.told.tables[table].items():
                held[Place(kind, name)] = tuple(map(self._called, getattr(one, "roles", None) or ()))
        images = {"image": SoftwareImage("image", "/cm/images/image")}
        return Cluster("11.0", {}, {"c": Category("c", "image")}, nodes, images, {}, held)

    def _called(self, role: SimpleNamespace) -> str:
        generic = getattr(role, "childType", "") == "GenericRole"
        return self.calls(role.name) if generic else str(role.name)

    def save_overlay(self, before: Optional[Overlay], after: Overlay) -> Optional[Overlay]:
        self.made.append(after.name)
        return after
