"""From the objects of CMDaemon's API to ours: overlays, roles, services and who holds them (bcm-facts §2, §3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Callable, TypeVar

from bcm_jobstats.bcm.entities import (
    GENERIC,
    IGNORED_PRIORITY,
    NODE,
    OVERLAY,
    Cluster,
    GenericRole,
    Overlay,
    Place,
    Service,
)
from bcm_jobstats.bcm.errors import Unreadable
from bcm_jobstats.bcm.records import REMEDY, Record

T = TypeVar("T")
GENERIC_ROLE = "GenericRole"
WITHOUT_ROLES = re.compile(r"(?!.*Node$).+|LiteNode")
"""Types of devices that need not have roles and services."""


def overlay(record: Record) -> Overlay:
    """A ConfigurationOverlay (bcm-facts §2)."""
    return Overlay(
        record.text("name"),
        record.number("priority"),
        record.flag("allHeadNodes"),
        record.references("nodes", "node"),
        record.references("categories", "category"),
        record.text("revision"),
    )


def can_hold(record: Record) -> bool:
    """Whether an object has roles and services: every one but switches and nodes without CMDaemon, if these say so."""
    if WITHOUT_ROLES.fullmatch(record.text("childType")):
        return record.has("roles") and record.has("services")
    return True


def roles(record: Record) -> list[tuple[str, Record]]:
    """The roles put on an object itself, with their names as cmsh has them (bcm-facts §3.1)."""
    found: dict[str, Record] = {}
    for number, raw in enumerate(record.items("roles"), start=1):
        role = Record(record.source, f"role number {number} of {record.label}", raw)
        name, kind = role.text("name"), role.text("childType")
        if kind != GENERIC_ROLE and name.lower().startswith(GENERIC):
            raise Unreadable(role.label, f"{name} is a {kind or 'role without a type'}, not a {GENERIC_ROLE}", REMEDY)
        name = generic_name(name) if kind == GENERIC_ROLE and name else name
        _once(role.label, name, found)
        found[name] = role
    return list(found.items())


def _once(label: str, name: str, found: Mapping[str, object]) -> None:
    """Raise Unreadable unless something has a name, and one of its own (bcm-facts §1.5)."""
    if not name or name in found:
        raise Unreadable(
            f"{label}, {name}" if name else label, "it is there twice" if name else "it has no name", REMEDY
        )


def generic_name(name: str) -> str:
    """A generic role's name with its prefix, which CMDaemon's API may leave out: nobody could confirm it."""
    return name if name.lower().startswith(GENERIC) else GENERIC + name


def generic_role(name: str, record: Record) -> GenericRole:
    """A GenericRole (bcm-facts §3.2)."""
    return GenericRole(name, record.texts("services"), record.text("revision"))


def services(record: Record) -> list[tuple[Service, Record]]:
    """The services put on an object itself (OSServiceConfig, bcm-facts §3.3), without those that its roles bring."""
    found: dict[str, tuple[Service, Record]] = {}
    for number, raw in enumerate(record.items("services"), start=1):
        one = Record(record.source, f"service number {number} of {record.label}", raw)
        if one.has("addFromRole") and one.flag("addFromRole"):
            continue
        service = Service(one.text("name"), one.flag("monitored"), one.flag("autostart"), one.text("revision"))
        _once(one.label, service.name, found)
        found[service.name] = service, one
    return list(found.values())


def with_assigned(cluster: Cluster, places: Mapping[Place, Record]) -> Cluster:
    """`cluster` with the roles of these places, and the services of those that have some: overlays have none."""
    held = {where: roles(record) for where, record in places.items()}
    offered = {where: services(record) for where, record in places.items() if where.kind != OVERLAY}
    generic = {where: _generic(there) for where, there in held.items()}
    return replace(
        cluster,
        roles={where: tuple(name for name, _ in there) for where, there in held.items() if there},
        generic={where: there for where, there in generic.items() if there},
        services={where: {one.name: one for one, _ in there} for where, there in offered.items() if there},
    )


def _generic(there: Iterable[tuple[str, Record]]) -> dict[str, GenericRole]:
    found: dict[str, GenericRole] = {}
    for name, record in there:
        if record.text("childType") == GENERIC_ROLE:
            found[name] = generic_role(name, record)
    return found


def narrowed(cluster: Cluster, wanted: Collection[str], *, every_node: bool) -> Cluster:
    """What `read` of the port tells: of single nodes, the roles of those that carry one of `wanted`."""
    if every_node:
        return cluster
    carriers = {
        node.name
        for role in wanted
        for where in cluster.places_with(role)
        if where.kind != OVERLAY or cluster.overlays[where.name].priority != IGNORED_PRIORITY
        for node in cluster.members(where)
    }

    def told(there: Mapping[Place, T], kept: Callable[[str], bool]) -> dict[Place, T]:
        return {where: thing for where, thing in there.items() if where.kind != NODE or kept(where.name)}

    return replace(
        cluster,
        roles=told(cluster.roles, carriers.__contains__),
        generic=told(cluster.generic, carriers.__contains__),
        services=told(cluster.services, lambda name: False),
    )
