"""Which roles and services are assigned where, asked of cmsh in one script whatever the number of nodes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Optional

from bcm_jobstats.bcm.cmsh import answers, scripts
from bcm_jobstats.bcm.cmsh.reading import LIST_NAMES, LIST_SERVICES, names_of, services_of
from bcm_jobstats.bcm.entities import CATEGORY, GENERIC, NODE, OVERLAY, Cluster, Place
from bcm_jobstats.bcm.errors import Unreadable

NAME = "get hostname"
ROLES = f"{NAME}; roles; {LIST_NAMES}"
ROLES_AND_SERVICES = f"{ROLES}; ..; services; {LIST_SERVICES}"


def query(cluster: Cluster, roles: Collection[str], *, every_node: bool) -> list[str]:
    """Commands that list the roles of every overlay and category and the services of every category, each after the
    name of its owner; then the nodes that carry one of `roles`, those of the first role with what is assigned to them.

    Nodes that carry one role of several mostly carry the others, and a list per node is what costs time.
    """
    script: list[str] = []
    for where in _owners(cluster):
        script += ["home", *scripts.at(where), "get name", "roles", LIST_NAMES]
        script += ["..", "services", LIST_SERVICES] if where.kind == CATEGORY else []
    if every_node:
        return [*script, "home", "device", f"foreach * ({ROLES_AND_SERVICES})"]
    for number, role in enumerate(sorted(roles, key=lambda role: (role.startswith(GENERIC), role))):
        inner = NAME if number else ROLES
        script += ["home", "device", f"foreach -l {scripts.one(role)} ({inner})"]
    return script


def query_nodes(names: Collection[str]) -> list[str]:
    """Commands that list the roles of some nodes."""
    return ["device", f"foreach -n {scripts.quoted(scripts.node_list(names))} ({ROLES})"]


def read(cluster: Cluster, text: str, *, of_nodes: bool = False) -> tuple[Cluster, set[str]]:
    """`cluster` with what the answer to `query` says, or (`of_nodes`) to `query_nodes`; and the nodes that were named
    without their roles."""
    expected = [] if of_nodes else _owners(cluster)
    roles, found = dict(cluster.roles), dict(cluster.services)
    named: set[str] = set()
    done: set[tuple[Place, bool]] = set()
    where: Optional[Place] = None
    for item in answers.before_version(answers.items(text)):
        if isinstance(item, str):
            if expected and item != expected[0].name:
                raise Unreadable(str(expected[0]), f"cmsh did not answer for it: {item}", answers.AGAIN)
            where = _owner(item, expected, cluster)
            named |= {where.name} if where and where.kind == NODE else set()
            continue
        # An empty list does not say of what: roles come first.
        of_services = "service" in item[0] if item else (where, False) in done
        if where is None or (where, of_services) in done or (of_services and where.kind == OVERLAY):
            raise Unreadable("cmsh", f"printed a list that is not known to be of {where or 'anything'}", answers.AGAIN)
        done.add((where, of_services))
        if of_services:
            found.update({where: services_of(item)} if item else {})
        else:
            # Inherited roles are shown with their source in brackets (bcm-facts §1.7): only own ones count.
            own = tuple(name for name in names_of(item) if not name.startswith("["))
            roles.update({where: own} if own else {})
    if expected:
        raise Unreadable(str(expected[0]), "cmsh did not answer for it", answers.AGAIN)
    unseen = tuple(where for where in _places(cluster) if not scripts.can_be_sent(where.name))
    listed = {where.name for where, of_services in done if not of_services and where.kind == NODE}
    return replace(cluster, roles=roles, services=found, unseen=unseen), named - listed


def _places(cluster: Cluster) -> list[Place]:
    overlays = [Place(OVERLAY, name) for name in cluster.overlays]
    return overlays + [Place(CATEGORY, name) for name in cluster.categories]


def _owners(cluster: Cluster) -> list[Place]:
    return [where for where in _places(cluster) if scripts.can_be_sent(where.name)]


def _owner(line: str, expected: list[Place], cluster: Cluster) -> Optional[Place]:
    """Whose the next lists are: the overlays and categories in the order asked, then nodes. Anything else is what cmsh
    says of a role that no node has; raises Unreadable when it is a piece of a damaged list."""
    if expected:
        return expected.pop(0)
    if line[0] in '[]{}"':
        raise Unreadable("cmsh", f"printed half of a list: {line:.60}", answers.AGAIN)
    return Place(NODE, line) if line in cluster.nodes else None
