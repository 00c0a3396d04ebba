"""Changes of pythoncm's entities. They are local until `commit`; each function gives CMDaemon's words back.

They raise Rejected when the change makes no sense on what is there: nothing was sent then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Optional

from bcm_jobstats.bcm import assembly
from bcm_jobstats.bcm.entities import CATEGORY, NODE, OVERLAY, GenericRole, Overlay, Place, Service
from bcm_jobstats.bcm.pythoncm import objects
from bcm_jobstats.bcm.pythoncm.load import Session
from bcm_jobstats.bcm.pythoncm.objects import CannotAdd, Rejected


def save_overlay(session: Session, before: Optional[Overlay], after: Overlay) -> str:
    """Create or change an overlay: of one that is there, only the fields that differ. CannotAdd: not from here."""
    entity = objects.one(session, Place(OVERLAY, after.name))
    if (entity is None) != (before is None):
        raise Rejected(f"there is {'no' if entity is None else 'already an'} overlay {after.name}")
    old = before or Overlay(after.name, priority=-2)
    if entity is None:
        entity = session.entity.ConfigurationOverlay()
        entity.name = after.name
    if after.priority != old.priority:
        entity.priority = after.priority
    if after.all_head_nodes != old.all_head_nodes:
        entity.allHeadNodes = after.all_head_nodes
    if after.nodes != old.nodes:
        entity.nodes = _chosen(session, NODE, after.nodes)
    if after.categories != old.categories:
        entity.categories = _chosen(session, CATEGORY, after.categories)
    if after.revision != old.revision:
        entity.revision = after.revision
    return _said(entity.commit() if before else _added(session, entity))


def _added(session: Session, entity: Any) -> Any:
    """Commit a new object of the cluster. How it comes to its cluster is not told in public texts, which speak of new
    sub-entities only (bcm-facts §7): by a method `add`, or by itself."""
    try:
        getattr(session.cluster, "add", lambda new: None)(entity)
        return entity.commit()
    except Exception as error:
        raise CannotAdd from error


def remove_overlay(session: Session, name: str) -> str:
    """Remove an overlay; one that is not there is no error."""
    entity = objects.one(session, Place(OVERLAY, name))
    return "" if entity is None else _said(entity.remove())


def save_role(session: Session, where: Place, before: Optional[GenericRole], after: GenericRole, spelled: str) -> str:
    """Assign or change a generic role; a new one gets the name `spelled`."""
    parent = _there(session, where)
    role = _role(where, parent, after.name)
    if (role is None) != (before is None):
        raise Rejected(f"role {after.name} is {'not' if role is None else 'already'} assigned to {where}")
    if role is None:
        role = session.entity.GenericRole()
        role.name = spelled
        parent.roles.append(role)
    if before is None or before.services != after.services:
        role.services = list(after.services)
    if before is None or before.revision != after.revision:
        role.revision = after.revision
    return _said(parent.commit())


def remove_role(session: Session, where: Place, name: str) -> str:
    """Unassign a role; one that is not there is no error."""
    parent = _there(session, where)
    role = _role(where, parent, name)
    return "" if role is None else _without(parent, "roles", role)


def save_service(session: Session, where: Place, before: Optional[Service], after: Service) -> str:
    """Add or change a service."""
    parent = _there(session, where)
    service = _service(where, parent, after.name)
    if (service is None) != (before is None):
        raise Rejected(f"service {after.name} is {'not' if service is None else 'already'} in the list of {where}")
    if service is None:
        service = session.entity.OSServiceConfig()
        service.name = after.name
        parent.services.append(service)
    service.monitored, service.autostart, service.revision = after.monitored, after.autostart, after.revision
    return _said(parent.commit())


def remove_service(session: Session, where: Place, name: str) -> str:
    """Remove a service; one that is not there is no error."""
    parent = _there(session, where)
    service = _service(where, parent, name)
    return "" if service is None else _without(parent, "services", service)


def _there(session: Session, where: Place) -> Any:
    entity = objects.one(session, where)
    if entity is None:
        raise Rejected(f"there is no {where.kind} {where.name}")
    return entity


def _chosen(session: Session, kind: str, names: Collection[str]) -> list[Any]:
    """The entities to refer to, all asked for at once whatever their number."""
    if not names:
        return []
    known = objects.all_of(session, kind)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Rejected(f"there is no {kind} {', '.join(unknown)}")
    return [known[name].raw for name in names]


def _role(where: Place, parent: Any, name: str) -> Any:
    found = assembly.roles(objects.record(where, parent))
    return next((record.raw for known, record in found if known == name), None)


def _service(where: Place, parent: Any, name: str) -> Any:
    found = assembly.services(objects.record(where, parent))
    return next((record.raw for service, record in found if service.name == name), None)


def _without(parent: Any, field: str, entity: Any) -> str:
    kept: Iterable[Any] = getattr(parent, field)
    position = next(number for number, one in enumerate(kept) if one is entity)
    del getattr(parent, field)[position]
    return _said(parent.commit())


def _said(result: Any) -> str:
    """What a commit or removal said: nothing when it was good (`.good`, and printing it tells why: bcm-facts §7)."""
    return "" if getattr(result, "good", False) else " ".join(str(result).split())
