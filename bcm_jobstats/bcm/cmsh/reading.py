"""What is asked of cmsh, and how the answers become entities.

Only `list -f … -d {}` and `get` are read, never a table's columns: cells are cut and layouts differ (bcm-facts §11).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from bcm_jobstats.bcm.cmsh import answers, scripts
from bcm_jobstats.bcm.cmsh.answers import Row, cell
from bcm_jobstats.bcm.entities import (
    Category,
    Cluster,
    GenericRole,
    Node,
    Overlay,
    Place,
    Service,
    SoftwareImage,
    WlmCluster,
)
from bcm_jobstats.bcm.errors import Unreadable
from bcm_jobstats.site.noderange import expand

WIDTH = 1_000_000
"""Of every column: wide enough that nothing is cut."""
OVERLAY_FIELDS = ("name", "priority", "allheadnodes", "nodes", "categories", "revision")
CATEGORY_FIELDS = ("name", "softwareimage")
IMAGE_FIELDS = ("name", "path")
WLM_FIELDS = ("name", "type")
NODE_FIELDS = ("hostname", "type", "category", "softwareimage", "status")
SERVICE_FIELDS = ("service", "monitored", "autostart", "revision")


def listing(*fields: str) -> str:
    """The `list` command that prints these fields as JSON (bcm-facts §1.4)."""
    return f"list -f {','.join(f'{name}:{WIDTH}' for name in fields)} -d {{}}"


LIST_OVERLAYS = f"configurationoverlay {listing(*OVERLAY_FIELDS)}"
LIST_NAMES = listing("name")
LIST_SERVICES = listing(*SERVICE_FIELDS)
OBJECTS = (
    LIST_OVERLAYS,
    f"category {listing(*CATEGORY_FIELDS)}",
    f"softwareimage {listing(*IMAGE_FIELDS)}",
    f"wlm {listing(*WLM_FIELDS)}",
    f"device {listing(*NODE_FIELDS)}",
)
GENERIC = "generic::"
STATE = re.compile(r"^(\S+)\s*\[\s*([A-Z]+)\s*\]\s*$")


def objects(text: str) -> Cluster:
    """Overlays, categories, images, wlm clusters and nodes from the answer to OBJECTS."""
    shapes = (OVERLAY_FIELDS, CATEGORY_FIELDS, IMAGE_FIELDS, WLM_FIELDS, NODE_FIELDS)
    overlays, categories, images, wlms, nodes = answers.shaped(text, *shapes)
    for what, rows in (("category", categories), ("software image", images), ("device", nodes)):
        if not rows:
            raise Unreadable("cmsh", f"lists no {what}, and every BCM has one", answers.REPORT)
    return Cluster(
        version=answers.version(text) or "",
        overlays={row["name"]: _overlay(row) for row in overlays},
        categories={row["name"]: Category(row["name"], cell(row, "softwareimage")) for row in categories},
        images={row["name"]: SoftwareImage(row["name"], cell(row, "path")) for row in images},
        wlms={row["name"]: WlmCluster(row["name"], cell(row, "type").lower()) for row in wlms},
        nodes={row["hostname"]: _node(row) for row in nodes},
    )


def overlays(text: str) -> dict[str, Overlay]:
    """Overlays from the answer to LIST_OVERLAYS."""
    return {row["name"]: _overlay(row) for row in answers.shaped(text, OVERLAY_FIELDS)[0]}


def names(text: str) -> set[str]:
    """Names from the answer to LIST_NAMES."""
    return {cell(row, "name") for row in answers.shaped(text, ("name",))[0]}


def services(text: str) -> dict[str, Service]:
    """Services from the answer to LIST_SERVICES."""
    return services_of(answers.shaped(text, SERVICE_FIELDS)[0])


def services_of(rows: Sequence[Row]) -> dict[str, Service]:
    """Services from the rows of one table."""
    return {
        row["service"]: Service(row["service"], _yes(row, "monitored"), _yes(row, "autostart"), cell(row, "revision"))
        for row in rows
    }


def generic_roles(cluster: Cluster) -> list[tuple[Place, str]]:
    """Every generic role and where it is."""
    return [
        (where, name) for where, names in cluster.roles.items() for name in names if name.lower().startswith(GENERIC)
    ]


def role_queries(wanted: Sequence[tuple[Place, str]]) -> list[str]:
    """Commands that print the fields of generic roles, each between two lines with the role's name."""
    script: list[str] = []
    for where, name in wanted:
        script += ["home", *scripts.at(where, "roles"), scripts.command("use", name)]
        script += ["get name", "get services", "get name", "get revision", "get name"]
    return script


def role_fields(wanted: Sequence[tuple[Place, str]], text: str) -> dict[tuple[Place, str], GenericRole]:
    """Generic roles from the answer to `role_queries`."""
    lines = [item for item in answers.items(text) if isinstance(item, str)]
    asked = Counter(name for _, name in wanted)
    fields: dict[tuple[Place, str], GenericRole] = {}
    for where, name in wanted:
        marks = [number for number, line in enumerate(lines) if line == name]
        if len(marks) != 3 * asked[name]:
            raise Unreadable(f"role {name} of {where}", f"cmsh did not print its fields: {' / '.join(lines[:3])}", "")
        asked[name] -= 1
        services, revision = answers.between(lines[: marks[2] + 1], name, 2)
        fields[where, name] = GenericRole(name, tuple(services.replace(",", " ").split()), revision)
        lines = lines[marks[2] + 1 :]
    return fields


def with_generic(cluster: Cluster, fields: Mapping[tuple[Place, str], GenericRole]) -> Cluster:
    """`cluster` with the fields of its generic roles."""
    generic: dict[Place, dict[str, GenericRole]] = {}
    for (where, name), role in fields.items():
        generic.setdefault(where, {})[name] = role
    return replace(cluster, generic=generic)


def status_query(nodes: Collection[str]) -> list[str]:
    """Commands that print the service states of `nodes`."""
    return ["device", f"foreach -n {scripts.quoted(scripts.node_list(nodes))} (get hostname; services; status)"]


def service_states(text: str, nodes: Collection[str]) -> dict[str, dict[str, str]]:
    """node -> service -> state from the answer to `status_query` (bcm-facts §1.7: `nslcd        [   UP   ]`)."""
    states: dict[str, dict[str, str]] = {}
    node = ""
    for line in text.splitlines():
        match = STATE.match(line)
        if match and node:
            states[node][match.group(1)] = match.group(2).strip()
        elif line.strip() in nodes:
            node = line.strip()
            states.setdefault(node, {})
    return states


def _overlay(row: Row) -> Overlay:
    try:
        return Overlay(
            row["name"],
            int(cell(row, "priority")),
            _yes(row, "allheadnodes"),
            tuple(sorted(expand(cell(row, "nodes")))) if cell(row, "nodes") else (),
            tuple(sorted(filter(None, (name.strip() for name in cell(row, "categories").split(","))))),
            cell(row, "revision"),
        )
    except ValueError as error:
        raise Unreadable(f"overlay {row['name']}", f"cmsh printed something odd: {error}", answers.REPORT) from error


def _node(row: Row) -> Node:
    # An inherited image is shown with its source in parentheses (bcm-facts §1.5).
    image = row.get("softwareimage", "")
    own = "" if "(" in image else image
    return Node(row["hostname"], row["type"], row.get("category", ""), own, row.get("status", "").strip("[] "))


def _yes(row: Row, name: str) -> bool:
    return cell(row, name).lower() in {"yes", "1", "on", "true"}
