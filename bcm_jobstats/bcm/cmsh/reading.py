"""What is asked of cmsh, and how the answers become entities.

Only `list -f … -d {}` and `get` are read, never a table's columns: cells are cut and layouts differ (bcm-facts §11).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from bcm_jobstats.bcm.cmsh import answers, rows, scripts
from bcm_jobstats.bcm.cmsh.answers import Row
from bcm_jobstats.bcm.entities import GENERIC, Cluster, GenericRole, Overlay, Place, Service
from bcm_jobstats.bcm.errors import Unreadable

WIDTH = 1_000_000
"""Of every column: wide enough that nothing is cut."""
OVERLAY_FIELDS = ("name", "priority", "allheadnodes", "nodes", "categories", "revision")
CATEGORY_FIELDS = ("name", "softwareimage")
IMAGE_FIELDS = ("name", "path")
WLM_FIELDS = ("name", "type")
NODE_FIELDS = ("hostname", "type", "category", "softwareimage", "status")
NAME_FIELDS = ("name",)
SERVICE_FIELDS = ("service", "monitored", "autostart", "revision")


def listing(*fields: str) -> str:
    """The `list` command that prints these fields as JSON (bcm-facts §1.4)."""
    return f"list -f {','.join(f'{name}:{WIDTH}' for name in fields)} -d {{}}"


LIST_OVERLAYS = f"configurationoverlay {listing(*OVERLAY_FIELDS)}"
LIST_NAMES = listing(*NAME_FIELDS)
LIST_SERVICES = listing(*SERVICE_FIELDS)
OBJECTS = (
    LIST_OVERLAYS,
    f"category {listing(*CATEGORY_FIELDS)}",
    f"softwareimage {listing(*IMAGE_FIELDS)}",
    f"wlm {listing(*WLM_FIELDS)}",
    f"device {listing(*NODE_FIELDS)}",
)
OUTPUT_OF = re.compile(r"^\[(\S+)\] ?:\s*$")
STATE = re.compile(r"^(\S+)\s*\[\s*([A-Z]+)\s*\]\s*$")
HEADING = re.compile(r"^Service +Status\s*$")


def objects(text: str) -> Cluster:
    """Overlays, categories, images, wlm clusters and nodes from the answer to OBJECTS."""
    shapes = (OVERLAY_FIELDS, CATEGORY_FIELDS, IMAGE_FIELDS, WLM_FIELDS, NODE_FIELDS)
    overlays, categories, images, wlms, nodes = answers.shaped(text, *shapes)
    for what, found in (("category", categories), ("software image", images), ("device", nodes)):
        if not found:
            raise Unreadable("cmsh", f"lists no {what}, and every BCM has one", answers.REPORT)
    known = rows.named(images, IMAGE_FIELDS, rows.image)
    groups = rows.named(categories, CATEGORY_FIELDS, rows.category)
    devices = rows.named(nodes, NODE_FIELDS, lambda row: rows.node(row, known))
    return Cluster(
        version=answers.version(text) or "",
        overlays=rows.named(overlays, OVERLAY_FIELDS, lambda row: rows.overlay(row, groups, devices)),
        categories=groups,
        images=known,
        wlms=rows.named(wlms, WLM_FIELDS, rows.wlm),
        nodes=devices,
    )


def overlays(text: str) -> dict[str, Overlay]:
    """Overlays from the answer to LIST_OVERLAYS."""
    return rows.named(answers.shaped(text, OVERLAY_FIELDS)[0], OVERLAY_FIELDS, rows.overlay)


def names(text: str) -> set[str]:
    """Names from the answer to LIST_NAMES."""
    return set(names_of(answers.shaped(text, NAME_FIELDS)[0]))


def names_of(table: Sequence[Row]) -> list[str]:
    """Names from the rows of one table."""
    return list(rows.named(table, NAME_FIELDS, lambda row: row["name"]))


def services(text: str) -> dict[str, Service]:
    """Services from the answer to LIST_SERVICES."""
    return services_of(answers.shaped(text, SERVICE_FIELDS)[0])


def services_of(table: Sequence[Row]) -> dict[str, Service]:
    """Services from the rows of one table."""
    return rows.named(table, SERVICE_FIELDS, rows.service)


def generic_roles(cluster: Cluster) -> list[tuple[Place, str]]:
    """Every generic role and where it is; one whose name means something to cmsh is nobody's of ours."""
    return [
        (where, name)
        for where, names in cluster.roles.items()
        for name in names
        if name.lower().startswith(GENERIC) and scripts.can_be_sent(name)
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
    lines = answers.lines(text)
    asked = Counter(name for _, name in wanted)
    fields: dict[tuple[Place, str], GenericRole] = {}
    for where, name in wanted:
        marks = [number for number, line in enumerate(lines) if line == name]
        if len(marks) != 3 * asked[name] or marks[0]:
            raise _other(f"role {name} of {where}", lines)
        asked[name] -= 1
        services, revision = answers.between(lines[: marks[2] + 1], name, 2)
        fields[where, name] = GenericRole(name, tuple(services.replace(",", " ").split()), revision)
        lines = lines[marks[2] + 1 :]
    if lines:
        raise _other("roles", lines)
    return fields


def _other(subject: str, lines: Sequence[str]) -> Unreadable:
    return Unreadable(subject, f"cmsh printed something else than fields: {' / '.join(lines[:3]):.300}", answers.AGAIN)


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
    node, headed = "", True
    for line in text.split("\n"):
        match = STATE.match(line)
        if match and node:
            if match.group(1) in states[node]:
                raise Unreadable(f"services of {node}", f"cmsh printed {match.group(1)} twice", answers.AGAIN)
            states[node][match.group(1)] = match.group(2)
        elif line.strip() in nodes:
            node = line.strip()
            if node in states:
                raise Unreadable(f"services of {node}", "cmsh printed them twice", answers.AGAIN)
            states[node], headed = {}, False
        elif HEADING.match(line):
            if headed:
                raise Unreadable("services", "cmsh printed some without the name of their node", answers.AGAIN)
            headed = True
    return states


def outputs(text: str, nodes: Collection[str]) -> dict[str, str]:
    """node -> output from the answer to `pexec`: each is headed by `[node001] :` (AM11 §14.1.2)."""
    found: dict[str, str] = {}
    node = ""
    for line in text.splitlines(keepends=True):
        match = OUTPUT_OF.match(line)
        if match and match.group(1) in nodes:
            node = match.group(1)
            found[node] = ""
        elif node:
            found[node] += line
    return found
