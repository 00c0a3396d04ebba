"""The pythoncm adapter of the port: overlays, roles and services as entities; the rest through cmsh."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Optional, TypeVar

from bcm_jobstats.bcm import assembly
from bcm_jobstats.bcm.entities import (
    CATEGORY,
    NODE,
    OVERLAY,
    Cluster,
    GenericRole,
    Overlay,
    Place,
    Producer,
    Service,
    WlmCluster,
)
from bcm_jobstats.bcm.errors import Refused, Unreachable, Unreadable
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.bcm.pythoncm import objects, writing
from bcm_jobstats.bcm.pythoncm.load import Session
from bcm_jobstats.bcm.pythoncm.objects import CannotAdd, Rejected
from bcm_jobstats.bcm.records import Record

T = TypeVar("T", Overlay, GenericRole, Service)


class PythoncmBcm:
    """BCM through pythoncm. Versions, images, wlm clusters, states and imageupdate have no confirmed call there
    (bcm-facts §13 #10), so cmsh does these.

    Every question and every write has a connection of its own: entities are local copies (bcm-facts §7), and whether
    pythoncm asks again for one that it has is not documented.
    """

    name = "pythoncm"
    writes = True
    helper = ""

    def __init__(self, connect: Callable[[], Session], cmsh: Bcm) -> None:
        """`connect` makes one connection at each call; nothing is asked yet."""
        self._connect = connect
        self._cmsh = cmsh

    def read(self, roles: Collection[str] = (), *, every_node: bool = False) -> Cluster:
        """See the port. What cmsh reads, with overlays, roles and services from three questions of pythoncm."""
        told = self._cmsh.read()
        session = self._connect()
        overlays = objects.all_of(session, OVERLAY)
        places = {Place(OVERLAY, name): found for name, found in overlays.items()}
        for kind, known in ((CATEGORY, told.categories), (NODE, told.nodes)):
            there = objects.all_of(session, kind)
            held = {name: found for name, found in there.items() if name in known and assembly.can_hold(found)}
            places.update({Place(kind, name): found for name, found in held.items()})
        cluster = replace(told, overlays=_overlays(overlays), unseen=())
        return assembly.narrowed(assembly.with_assigned(cluster, places), roles, every_node=every_node)

    def save_overlay(self, before: Optional[Overlay], after: Overlay) -> Optional[Overlay]:
        """See the port. cmsh makes a new one when pythoncm cannot, or when it broke off: both read back."""
        try:
            words = self._do(lambda session: writing.save_overlay(session, before, after))
        except CannotAdd:
            return self._cmsh.save_overlay(before, after)
        return self._took(f"overlay {after.name}", after, lambda: self._overlay(after.name), words)

    def remove_overlay(self, name: str) -> Optional[Overlay]:
        """See the port."""
        words = self._do(lambda session: writing.remove_overlay(session, name))
        return self._took(f"overlay {name}", None, lambda: self._overlay(name), words)

    def save_role(self, where: Place, before: Optional[GenericRole], after: GenericRole) -> Optional[GenericRole]:
        """See the port. Whether a generic role's name has its prefix here is not documented, so cmsh is asked what a
        new one is called there, and it is made again without the prefix when it is not known by its name."""
        found = self._save_role(where, before, after, after.name)
        if before is not None or self._known_to_cmsh(where, after.name):
            return found
        self.remove_role(where, after.name)
        found = self._save_role(where, None, after, after.name.partition("::")[2])
        if not self._known_to_cmsh(where, after.name):
            self.remove_role(where, after.name)
            raise _refused(f"role {after.name} of {where}", "cmsh does not know the role by its name; it was removed")
        return found

    def remove_role(self, where: Place, name: str) -> Optional[GenericRole]:
        """See the port."""
        words = self._do(lambda session: writing.remove_role(session, where, name))
        return self._took(f"role {name} of {where}", None, lambda: self._role(where, name), words)

    def save_service(self, where: Place, before: Optional[Service], after: Service) -> Optional[Service]:
        """See the port."""
        words = self._do(lambda session: writing.save_service(session, where, before, after))
        return self._took(f"service {after.name} of {where}", after, lambda: self._service(where, after.name), words)

    def remove_service(self, where: Place, before: Service) -> Optional[Service]:
        """See the port."""
        words = self._do(lambda session: writing.remove_service(session, where, before.name))

        def found() -> Optional[Service]:
            service = self._service(where, before.name)
            return service if service and service.revision == before.revision else None

        return self._took(f"service {before.name} of {where}", None, found, words)

    def save_wlm(self, before: WlmCluster, after: WlmCluster) -> Optional[WlmCluster]:
        """See the port. The fields of pythoncm's wlm clusters are in no public text, so cmsh does it."""
        return self._cmsh.save_wlm(before, after)

    def can_assign(self, where: Place, role: str) -> bool:
        """See the port. A GenericRole can be made here; none is."""
        return hasattr(self._connect().entity, "GenericRole")

    def update_nodes(self, category: str) -> None:
        """See the port."""
        self._cmsh.update_nodes(category)

    def restart_services(self, category: str, services: Collection[str]) -> None:
        """See the port."""
        self._cmsh.restart_services(category, services)

    def producers(self) -> Mapping[str, Producer]:
        """See the port."""
        return self._cmsh.producers()

    def save_producer(self, before: Optional[Producer], after: Producer) -> Optional[Producer]:
        """See the port."""
        return self._cmsh.save_producer(before, after)

    def remove_producer(self, name: str) -> Optional[Producer]:
        """See the port."""
        return self._cmsh.remove_producer(name)

    def execute(self, nodes: Collection[str], command: str) -> Mapping[str, str]:
        """See the port."""
        return self._cmsh.execute(nodes, command)

    def service_states(self, nodes: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        """See the port."""
        return self._cmsh.service_states(nodes)

    def _save_role(
        self, where: Place, before: Optional[GenericRole], after: GenericRole, spelled: str
    ) -> Optional[GenericRole]:
        words = self._do(lambda session: writing.save_role(session, where, before, after, spelled))

        def found() -> Optional[GenericRole]:
            role = self._role(where, after.name)
            same = role and sorted(role.services) == sorted(after.services)
            return replace(role, services=after.services) if role and same else role  # BCM may not keep their order

        return self._took(f"role {after.name} of {where}", after, found, words)

    def _known_to_cmsh(self, where: Place, role: str) -> bool:
        told = self._cmsh.read([role])
        return where in told.unseen or role in told.roles.get(where, ())

    def _overlay(self, name: str) -> Optional[Overlay]:
        found = self._record(Place(OVERLAY, name))
        return assembly.overlay(found) if found else None

    def _role(self, where: Place, name: str) -> Optional[GenericRole]:
        found = self._record(where)
        there = dict(assembly.roles(found)) if found else {}
        return assembly.generic_role(name, there[name]) if name in there else None

    def _service(self, where: Place, name: str) -> Optional[Service]:
        found = self._record(where)
        there = [service for service, _ in assembly.services(found)] if found else []
        return next((service for service in there if service.name == name), None)

    def _record(self, where: Place) -> Optional[Record]:
        entity = objects.one(self._connect(), where)
        return None if entity is None else objects.record(where, entity)

    def _do(self, write: Callable[[Session], str]) -> str:
        """Write once. What it did is found out by reading back, as CMDaemon drops what it does not understand without
        a word (bcm-facts §8.1); here only the words are kept."""
        try:
            return objects.asked(lambda: write(self._connect()))
        except Rejected as rejected:
            return str(rejected)
        except Unreachable as error:
            return f"{error.subject} {error.cause}"

    def _took(self, subject: str, wanted: Optional[T], read: Callable[[], Optional[T]], words: str) -> Optional[T]:
        """What is there after a write; raises Refused with CMDaemon's words when that is not what was wanted."""
        try:
            found = read()
        except Unreadable as error:
            raise _refused(subject, words or error.cause) from error
        if found != wanted:
            raise _refused(subject, words or "pythoncm said nothing, and it is not there")
        return found


def _overlays(found: Mapping[str, Record]) -> dict[str, Overlay]:
    return {name: assembly.overlay(record) for name, record in found.items()}


def _refused(subject: str, words: str) -> Refused:
    remedy = "Cure the cause and run the command again: it goes on here."
    return Refused(subject, f"BCM did not take the change: {words}", remedy)
