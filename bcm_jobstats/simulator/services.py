"""Which services CMDaemon looks after on a node, and how: own, from the category, from generic roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.noderunner import Wish
from bcm_jobstats.simulator.resolver import Held, names_in
from bcm_jobstats.simulator.state import State

ROLE_MARK = "belongstorole"
"""Kept on a service entry that only tunes a service of a role, so that it goes when the role goes."""

BROUGHT: dict[str, tuple[str, ...]] = {"scaleserver": ("cm-scale",)}
"""Services of roles that are not generic: the one that a transcript shows (bcm-facts §3.3); a lab adds Slurm's."""


@dataclass(frozen=True)
class Looked:
    """A service in effect on a node: how it is set, and whether a role brought it."""

    entity: Entity
    of_role: bool

    @property
    def wish(self) -> Wish:
        """How CMDaemon looks after it."""
        values = self.entity.values
        run_if = str(values.get("runif") or "always").lower()
        return Wish(values.get("monitored") == "yes", values.get("autostart") == "yes", run_if)


Services = dict[str, Looked]


def role_services(roles: Iterable[Held]) -> list[str]:
    """The services that roles with `Add services yes` bring (bcm-facts §3.2)."""
    return [
        service
        for held in roles
        if held.role.values.get("addservices", "yes") == "yes"
        for service in (
            names_in(held.role, "services") if held.role.kind == "GenericRole" else BROUGHT.get(held.name, ())
        )
    ]


def from_roles(service: str, *, on: bool = True) -> Entity:
    """The entry of a service that a role brings: monitored and autostarted (presumed, bcm-facts §13 #15) if `on`."""
    values = {"monitored": "yes", "autostart": "yes"} if on else {}
    return Entity("OSServiceConfig", {"service": service, ROLE_MARK: "yes", **values})


def merged(roles: Iterable[Held], *holders: Entity | None, on: bool = True) -> Services:
    """Services of roles, then of the holders, of which a later one overrules an earlier (category, then device)."""
    found = {name: Looked(from_roles(name, on=on), True) for name in role_services(roles)}
    for holder in holders:
        for name, entity in (holder.entries("services") if holder is not None else {}).items():
            brought = name in found and found[name].of_role
            if brought or entity.values.get(ROLE_MARK) != "yes":
                found[name] = Looked(entity, brought)
    return found


def services_of(state: State, node: str, device: Entity | None = None, *, on: bool = True) -> Services:
    """The services in effect on a node."""
    device = device or state.table("device")[node]
    category = state.table("category").get(str(device.values.get("category", "")))
    return merged(state.resolver.roles_of(node, device).values(), category, device, on=on)


def wanted(state: State, nodes: Iterable[str], *, on: bool = True) -> dict[str, Mapping[str, Wish]]:
    """What every node should run. Nodes with the same roles and nothing of their own share one answer."""
    shared: dict[tuple[int, str], tuple[object, Mapping[str, Wish]]] = {}
    result: dict[str, Mapping[str, Wish]] = {}
    devices = state.table("device")
    for node in nodes:
        device = devices[node]
        if device.entries("services"):
            result[node] = _wishes(state, node, device, on)
            continue
        roles = state.resolver.roles_of(node, device)
        key = (id(roles), str(device.values.get("category", "")))
        if key not in shared:
            shared[key] = (roles, _wishes(state, node, device, on))  # with the roles, so that their id stays theirs
        result[node] = shared[key][1]
    return result


def on_head(wishes: Mapping[str, Wish], head: str, active: str, passive: str) -> Mapping[str, Wish]:
    """What runs on one head of a pair, of which `passive` is "" while it is down (`runif`, bcm-facts §3.3)."""
    places = {"active": active, "passive": passive, "preferpassive": passive or active}
    return {name: wish for name, wish in wishes.items() if places.get(wish.run_if, head) == head}


def _wishes(state: State, node: str, device: Entity, on: bool) -> Mapping[str, Wish]:
    return {name: looked.wish for name, looked in services_of(state, node, device, on=on).items()}
