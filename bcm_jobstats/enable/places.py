"""Where each role goes: the site's `attach` against the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

from bcm_jobstats.bcm.entities import IGNORED_PRIORITY, OVERLAY, Cluster, Node, Overlay, Place
from bcm_jobstats.enable.marks import MEMBERS_OF_ADMINISTRATOR, OURS
from bcm_jobstats.site import Problem, Site, SiteError
from bcm_jobstats.site.problems import did_you_mean
from bcm_jobstats.stack import RoleSpec

JOBS = "slurmclient"
"""The role of nodes that run jobs (bcm-facts §3.1)."""


@dataclass(frozen=True)
class Placement:
    """One role: its overlay when that is ours, the places it is put, the nodes that get it by that."""

    role: RoleSpec
    overlay: Optional[Overlay]
    manual: bool
    places: tuple[Place, ...]
    nodes: tuple[Node, ...]


def followed(site: Site, roles: Sequence[RoleSpec]) -> set[str]:
    """The BCM roles that ours follow (`with_role`)."""
    attached = (site.roles[role.name].attach for role in roles)
    return {attach.with_role for attach in attached if attach.with_role}


def placements(site: Site, roles: Sequence[RoleSpec], cluster: Cluster) -> list[Placement]:
    """Where every role goes. Raises SiteError with all names that the cluster does not know, with file and line."""
    problems = [problem for role in roles for problem in _unknown(site, role, cluster)]
    for number, name in enumerate(site.images):
        if name not in cluster.images:
            problems.append(_problem(site, f"images[{number}]", f"software image {name!r}", cluster.images))
    for name in site.recipes:
        if name not in cluster.categories:
            problems.append(_problem(site, f"recipes.{name}", f"category {name!r}", cluster.categories))
    if problems:
        raise SiteError(problems)
    return [_placement(site, role, cluster) for role in roles]


def notes(cluster: Cluster, placed: Sequence[Placement]) -> Iterator[str]:
    """What an administrator should know about the places, though nothing is wrong."""
    for where in cluster.unseen:
        yield f"{where} has a name that cannot be sent to cmsh: what is assigned there is not seen"
    for placement in placed:
        role = _title(placement)
        for where in placement.places:
            overlay = cluster.overlays.get(where.name) if where.kind == OVERLAY else None
            if overlay and overlay.priority == IGNORED_PRIORITY and not placement.role.monitored:
                yield f"overlay {where.name} has priority -1, so BCM ignores it: {role} waits there until you raise it"
        heads = [node.name for node in placement.nodes if node.is_head]
        if heads and placement.manual:
            yield f"{role} reaches {_head_nodes(heads)}: nothing starts there"
        loose = [node.name for node in placement.nodes if not node.is_head and not node.category]
        if loose:
            yield f"{', '.join(loose)} has no category: apply does not bring it to its image, the next boot does"
        if not placement.places:
            yield f"no overlay, category or node carries {placement.role.name}'s role to follow: {role} goes nowhere"
        elif not placement.nodes:
            yield f"{role} has no nodes yet; when you give it some, run apply again so that their image gets the files"
        yield from () if placement.role.monitored else _shadowed(cluster, placement)
    yield from _jobs_on_heads(cluster, placed)


def _title(placement: Placement) -> str:
    """What goes to the places: a role of ours, or the agent that follows one."""
    role = placement.role
    return f"the agent that runs the exporters of {role.name}" if role.monitored else role.generic


def problems(placed: Sequence[Placement]) -> Iterator[str]:
    """What cannot work: a service that is to start where its files never come."""
    for placement in placed:
        heads = [node.name for node in placement.nodes if node.is_head]
        if heads and not placement.manual:
            where = ", ".join(str(place) for place in placement.places)
            yield (
                f"{placement.role.generic} in {where} would reach {_head_nodes(heads)}\n"
                f"  Attach {placement.role.name} to categories or nodes in the site file."
            )


def _head_nodes(names: Sequence[str]) -> str:
    return f"head node {', '.join(names)}, which has no software image and so none of the files"


def _placement(site: Site, role: RoleSpec, cluster: Cluster) -> Placement:
    settings = site.roles[role.name]
    attach, form = settings.attach, settings.attach.form
    name = attach.overlay or role.name
    if form == "with_role":
        places = tuple(cluster.places_with(str(attach.with_role)))
        nodes = _members(cluster, places)
        if role.monitored:  # an agent's files travel in images, and a head node has none: nothing of ours starts there
            nodes = tuple(node for node in nodes if not node.is_head)
        return Placement(role, None, False, places, nodes)
    place = Place(OVERLAY, name)
    if form == "existing":
        return Placement(role, None, False, (place,), _members(cluster, (place,)))
    priority = settings.priority if settings.priority is not None else 500
    if form == "manual":
        overlay = Overlay(name, priority, revision=MEMBERS_OF_ADMINISTRATOR)
        return Placement(role, overlay, True, (place,), _members(cluster, (place,)))
    overlay = Overlay(name, priority, False, tuple(sorted(attach.nodes)), tuple(sorted(attach.categories)), OURS)
    planned = Cluster(cluster.version, {name: overlay}, cluster.categories, cluster.nodes, cluster.images, cluster.wlms)
    return Placement(role, overlay, False, (place,), _members(planned, (place,)))


def _members(cluster: Cluster, places: Sequence[Place]) -> tuple[Node, ...]:
    members = {node.name: node for where in places for node in cluster.members(where)}
    return tuple(members[name] for name in sorted(members))


def _unknown(site: Site, role: RoleSpec, cluster: Cluster) -> Iterator[Problem]:
    attach = site.roles[role.name].attach
    path = f"roles.{role.name}.attach"
    for number, name in enumerate(attach.categories):
        if name not in cluster.categories:
            yield _problem(site, f"{path}.categories[{number}]", f"category {name!r}", cluster.categories)
    for name in attach.nodes:
        if name not in cluster.nodes:
            yield _problem(site, f"{path}.nodes", f"node {name!r}", cluster.nodes)
    if attach.form == "existing" and attach.overlay not in cluster.overlays:
        yield _problem(site, f"{path}.overlay", f"overlay {attach.overlay!r}", cluster.overlays)


def _problem(site: Site, path: str, subject: str, known: Iterable[str]) -> Problem:
    file, _, line = site.where(path).rpartition(":")
    remedy = did_you_mean(subject.split("'")[1], list(known)[:1000])
    where, number = (file, int(line)) if line.isdigit() else (site.where(path), 0)
    return Problem(where, number, f"{path}: BCM knows no {subject}", remedy)


def _shadowed(cluster: Cluster, placement: Placement) -> Iterator[str]:
    """A generic role of the same name elsewhere wins or loses as a whole, by priority (bcm-facts §2)."""
    nodes = {node.name for node in placement.nodes}
    for where, roles in cluster.generic.items():
        other = roles.get(placement.role.generic)
        shared = (
            nodes & {node.name for node in cluster.members(where)} if other and where not in placement.places else set()
        )
        if other and shared and set(other.services) != set(placement.role.services):
            some = ", ".join(sorted(shared)[:3]) + (", ..." if len(shared) > 3 else "")
            yield (
                f"{where} has a role {other.name} of its own with services {', '.join(other.services) or '(none)'}: "
                f"on {some} BCM takes one of the two, by priority"
            )


def _jobs_on_heads(cluster: Cluster, placed: Sequence[Placement]) -> Iterator[str]:
    """Hooks travel in software images; a role of ours that would reach a head is told by `problems`."""
    reached = {node.name for placement in placed for node in placement.nodes}
    carriers = {node.name for where in cluster.places_with(JOBS) for node in cluster.members(where) if node.is_head}
    heads = sorted(carriers - reached) if any(placement.role.hooks for placement in placed) else []
    if heads:
        yield f"head node {', '.join(heads)} runs jobs itself ({JOBS}) and has no software image: no hook ties its GPUs"
