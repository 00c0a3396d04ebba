"""The overlays, roles and services that should exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bcm_jobstats.bcm.entities import CATEGORY, NODE, OVERLAY, Cluster, GenericRole, Overlay, Place, Service
from bcm_jobstats.enable.marks import OURS, is_ours, of_place
from bcm_jobstats.enable.places import Placement
from bcm_jobstats.plan.resource import Resource
from bcm_jobstats.site import Site

MARK = "revision"


def desired(site: Site, placed: Sequence[Placement], cluster: Cluster, *, generic: bool) -> list[Resource]:
    """Resources for all placements: roles in overlays, categories and nodes, or (`generic` false) services."""
    resources: list[Resource] = []
    for placement in placed:
        if generic:
            resources += _overlay(site, placement)
            resources += [_role(placement, where) for where in placement.places]
        else:
            resources += _services(placement, cluster)
    return list({resource.address: resource for resource in resources}.values())


def overlay_state(overlay: Overlay) -> dict[str, Any]:
    """An overlay as a resource's fields."""
    return {
        "priority": overlay.priority,
        "allheadnodes": overlay.all_head_nodes,
        "nodes": list(overlay.nodes),
        "categories": list(overlay.categories),
        MARK: overlay.revision,
    }


def role_state(role: GenericRole) -> dict[str, Any]:
    """A generic role as a resource's fields. The order of services has no meaning; an administrator's is kept all the
    same, so that it can be given back as it was."""
    services = sorted(role.services) if is_ours(role.revision) else list(role.services)
    return {"services": services, MARK: role.revision}


def service_state(service: Service) -> dict[str, Any]:
    """A service as a resource's fields."""
    return {"monitored": service.monitored, "autostart": service.autostart, MARK: service.revision}


def _overlay(site: Site, placement: Placement) -> Iterator[Resource]:
    if placement.overlay is None:
        return
    state = overlay_state(placement.overlay)
    # The administrator's from the start: the members of a manual overlay, and a priority the site does not set.
    unowned = {"allheadnodes", "nodes", "categories"} if placement.manual else set()
    if site.roles[placement.role.name].priority is None:
        unowned.add("priority")
    owned = {key: value for key, value in state.items() if key not in unowned}
    yield Resource("overlay", placement.overlay.name, owned, {key: state[key] for key in unowned}, mark=MARK)


def _role(placement: Placement, where: Place) -> Resource:
    role = GenericRole(placement.role.generic, tuple(placement.role.services), OURS)
    return Resource("role", f"{where}/{role.name}", role_state(role), mark=MARK)


def _services(placement: Placement, cluster: Cluster) -> Iterator[Resource]:
    for where in without_overlays(placement, cluster):
        yield from (service(name, where) for name in placement.role.services)


def service(name: str, where: Place) -> Resource:
    """A service that CMDaemon starts at a place and keeps up."""
    wanted = Service(name, monitored=True, autostart=True, revision=of_place(where))
    return Resource("service", f"{where}/{name}", service_state(wanted), mark=MARK)


def without_overlays(placement: Placement, cluster: Cluster) -> Iterator[Place]:
    """Overlays carry no services (bcm-facts §3.3): their categories and nodes do."""
    for where in placement.places:
        if where.kind != OVERLAY:
            yield where
            continue
        overlay = placement.overlay or cluster.overlays[where.name]
        if placement.manual:
            overlay = cluster.overlays.get(where.name, overlay)
        yield from (Place(CATEGORY, name) for name in overlay.categories)
        yield from (Place(NODE, name) for name in overlay.nodes)
