"""Which roles and services are assigned where, asked of cmsh in one script whatever the number of nodes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Optional

from bcm_jobstats.bcm.cmsh import answers, scripts
from bcm_jobstats.bcm.cmsh.reading import GENERIC, LIST_NAMES, LIST_SERVICES, services_of
from bcm_jobstats.bcm.entities import CATEGORY, NODE, OVERLAY, Cluster, Place
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
        script += ["home", "device", f"foreach -l {scripts.quoted(role)} ({inner})"]
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
    listed: set[str] = set()
    where: Optional[Place] = None
    for item in answers.items(text):
        if isinstance(item, str):
            if expected and item != expected[0].name:
                raise Unreadable(str(expected[0]), f"cmsh did not answer for it: {item}", "Run the command again.")
            where = _owner(item, expected, cluster) or where
            named |= {where.name} if where and where.kind == NODE else set()
        elif where and item and "service" in item[0]:
            found[where] = services_of(item)
        elif where:
            listed.add(where.name)
            # Inherited roles are shown with their source in brackets (bcm-facts §1.7): only own ones count.
            own = tuple(row["name"] for row in item if not row["name"].startswith("["))
            if own:
                roles[where] = own
    if expected:
        raise Unreadable(str(expected[0]), "cmsh did not answer for it", "Run the command again.")
    unseen = tuple(where for where in _places(cluster) if not scripts.can_be_sent(where.name))
    return replace(cluster, roles=roles, services=found, unseen=unseen), named - listed


def _places(cluster: Cluster) -> list[Place]:
    overlays = [Place(OVERLAY, name) for name in cluster.overlays]
    return overlays + [Place(CATEGORY, name) for name in cluster.categories]


def _owners(cluster: Cluster) -> list[Place]:
    return [where for where in _places(cluster) if scripts.can_be_sent(where.name)]


def _owner(line: str, expected: list[Place], cluster: Cluster) -> Optional[Place]:
    """Whose the next lists are: the overlays and categories in the order asked, then nodes."""
    if expected and line == expected[0].name:
        return expected.pop(0)
    return Place(NODE, line) if not expected and line in cluster.nodes else None
