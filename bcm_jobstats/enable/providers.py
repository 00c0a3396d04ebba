"""How overlays, roles and services are read and written, over the port."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Callable, Generic, Optional, TypeVar

from bcm_jobstats.bcm.cmsh import producers, scripts
from bcm_jobstats.bcm.entities import OVERLAY, Cluster, GenericRole, Overlay, Place, Producer, Service
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.enable import metrics
from bcm_jobstats.enable.marks import MEMBERS_OF_ADMINISTRATOR, is_ours, of_place
from bcm_jobstats.enable.resources import MARK, overlay_state, role_state, service_state
from bcm_jobstats.plan.resource import Found, State

T = TypeVar("T", Overlay, GenericRole, Service, Producer)


@dataclass(frozen=True)
class Entity(Generic[T]):
    """One kind of entity: its fields, its port calls and its cmsh script, all by resource name."""

    state: Callable[[T], dict[str, Any]]
    make: Callable[[str, State], T]
    save: Callable[[str, Optional[T], T], Optional[T]]
    remove: Callable[[str, T], Optional[T]]
    script: Callable[[str, Optional[T], Optional[T]], list[str]]
    holds_others: Callable[[str, State], bool] = lambda name, state: False
    """Whether one of ours holds something of the administrator's: it is then let go, not removed."""
    blank: Callable[[T], bool] = lambda thing: False
    """Whether a thing says and does nothing yet: one that is wanted was made for us, and is filled."""


class EntityProvider(Generic[T]):
    """Resources of one kind of entity: as first read, then as each write was read back."""

    def __init__(self, kind: str, rank: int, rank_down: int, entity: Entity[T], there: Mapping[str, T]) -> None:
        self.kind, self.rank, self.rank_down = kind, rank, rank_down
        self.entity: Entity[T] = entity
        self.there: dict[str, T] = dict(there)

    def read(self, names: Collection[str]) -> Mapping[str, Found]:
        """See Provider."""
        return {
            name: Found(self.entity.state(thing), is_ours(thing.revision) or self.entity.blank(thing))
            for name, thing in self.there.items()
            if name in names or is_ours(thing.revision)
        }

    def write(self, name: str, before: Optional[State], after: State) -> None:
        """See Provider."""
        self._took(name, self.entity.save(name, self._made(name, before), self.entity.make(name, after)))

    def remove(self, name: str, before: State) -> Optional[State]:
        """See Provider."""
        self._took(name, self.entity.remove(name, self.entity.make(name, before)))
        return None

    def leaves(self, name: str, state: State) -> Optional[State]:
        """See Provider."""
        return {**state, MARK: ""} if self.entity.holds_others(name, state) else None

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        """See Provider."""
        script = self.entity.script(name, self._made(name, before), self._made(name, after))
        return ["cmsh -c '" + "; ".join(script) + "'"]

    def _made(self, name: str, state: Optional[State]) -> Optional[T]:
        return self.entity.make(name, state) if state is not None else None

    def _took(self, name: str, thing: Optional[T]) -> None:
        if thing is None:
            self.there.pop(name, None)
        else:
            self.there[name] = thing


def overlay_provider(rank: int, rank_down: int, bcm: Bcm, cluster: Cluster) -> EntityProvider[Overlay]:
    """Resources named by overlay."""

    def holds_others(name: str, state: State) -> bool:
        members = state["nodes"] or state["categories"] or state["allheadnodes"]
        roles = set(cluster.roles.get(Place(OVERLAY, name), ()))
        ours = {role.name for role in cluster.generic.get(Place(OVERLAY, name), {}).values() if is_ours(role.revision)}
        return bool(members and state[MARK] == MEMBERS_OF_ADMINISTRATOR) or bool(roles - ours)

    def script(name: str, before: Optional[Overlay], after: Optional[Overlay]) -> list[str]:
        return scripts.save_overlay(before, after) if after else scripts.remove_overlay(name)

    def save(name: str, before: Optional[Overlay], after: Overlay) -> Optional[Overlay]:
        return bcm.save_overlay(before, after)

    entity = Entity(overlay_state, _overlay, save, lambda name, _: bcm.remove_overlay(name), script, holds_others)
    return EntityProvider("overlay", rank, rank_down, entity, cluster.overlays)


def role_provider(rank: int, rank_down: int, bcm: Bcm, cluster: Cluster) -> EntityProvider[GenericRole]:
    """Resources named `overlay|category|node/NAME/generic::ROLE`."""

    def script(name: str, before: Optional[GenericRole], after: Optional[GenericRole]) -> list[str]:
        where, role = _split(name)
        return scripts.save_role(where, before, after) if after else scripts.remove_role(where, role)

    def save(name: str, before: Optional[GenericRole], after: GenericRole) -> Optional[GenericRole]:
        return bcm.save_role(_split(name)[0], before, after)

    def blank(role: GenericRole) -> bool:
        return not role.services and not role.revision  # what Base View's walk-through leaves

    entity = Entity(role_state, _role, save, lambda name, _: bcm.remove_role(*_split(name)), script, blank=blank)
    there = {f"{where}/{name}": role for where, roles in cluster.generic.items() for name, role in roles.items()}
    return EntityProvider("role", rank, rank_down, entity, there)


def service_provider(rank: int, rank_down: int, bcm: Bcm, cluster: Cluster) -> EntityProvider[Service]:
    """Resources named `category|node/NAME/SERVICE`."""

    def script(name: str, before: Optional[Service], after: Optional[Service]) -> list[str]:
        where, service = _split(name)
        return scripts.save_service(where, before, after) if after else scripts.remove_service(where, service)

    def save(name: str, before: Optional[Service], after: Service) -> Optional[Service]:
        return bcm.save_service(_split(name)[0], before, after)

    entity = Entity(
        service_state, _service, save, lambda name, before: bcm.remove_service(_split(name)[0], before), script
    )
    # A node's list shows the services of its roles too (bcm-facts §3.3), and only their names tell.
    ours = (role for roles in cluster.generic.values() for role in roles.values() if is_ours(role.revision))
    brought = {name for role in ours for name in role.services}
    there = {
        f"{where}/{name}": service
        for where, services in cluster.services.items()
        for name, service in services.items()
        if service.revision == of_place(where) or not (is_ours(service.revision) or name in brought)
    }
    return EntityProvider("service", rank, rank_down, entity, there)


def producer_provider(rank: int, rank_down: int, bcm: Bcm, there: Mapping[str, Producer]) -> EntityProvider[Producer]:
    """Resources named by monitoring data producer."""

    def script(name: str, before: Optional[Producer], after: Optional[Producer]) -> list[str]:
        return producers.save(before, after) if after else producers.remove(name)

    def save(name: str, before: Optional[Producer], after: Producer) -> Optional[Producer]:
        return bcm.save_producer(before, after)

    entity = Entity(metrics.state, metrics.producer, save, lambda name, _: bcm.remove_producer(name), script)
    return EntityProvider(metrics.KIND, rank, rank_down, entity, there)


def _split(name: str) -> tuple[Place, str]:
    kind, place, thing = name.split("/", 2)
    return Place(kind, place), thing


def _overlay(name: str, state: State) -> Overlay:
    nodes, categories = tuple(sorted(state["nodes"])), tuple(sorted(state["categories"]))
    return Overlay(name, state["priority"], state["allheadnodes"], nodes, categories, state[MARK])


def _role(name: str, state: State) -> GenericRole:
    return GenericRole(_split(name)[1], tuple(state["services"]), state[MARK])


def _service(name: str, state: State) -> Service:
    return Service(_split(name)[1], state["monitored"], state["autostart"], state[MARK])
