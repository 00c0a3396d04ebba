"""`list` and the formats it prints in (bcm-facts §1.4)."""

from __future__ import annotations

import re

from bcm_jobstats.simulator import messages, tables
from bcm_jobstats.simulator.cells import Cell, list_cell, submode_cell
from bcm_jobstats.simulator.cmd_images import REVISION_MARK
from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.kinds import CUSTOMIZATION
from bcm_jobstats.simulator.modes import FORMAT_OVERLAY, MODES
from bcm_jobstats.simulator.noderanges import natural
from bcm_jobstats.simulator.olderlayouts import older_overlays
from bcm_jobstats.simulator.options import options
from bcm_jobstats.simulator.rolekinds import OTHER_CONFIGURATIONS
from bcm_jobstats.simulator.schema import Row, Schema, Submode
from bcm_jobstats.simulator.session import Session, command
from bcm_jobstats.simulator.tables import Column

Words = tuple[str, ...]
Printed = tuple[list[Column], list[tables.Line]]
_WIDTH = re.compile(r"^([^:]+)(?::(?:(\d+)|\[(\d+)-(\d+)\]))?$")
_DELIMITER = re.compile(r"^\{(\d*)\}$")
DEFAULT_WIDTH = 20
ROLE_WIDTH, ROLE_PRIORITY_WIDTH = 32, 40
"""Columns of role lists, whose dash runs are 31 and 39; their cells are not cut (bcm-facts §1.7)."""

LIST_OPTIONS = {"format=": "f", "delimiter=": "d", "sort=": "s", "priority": "p", "type=": "t", "revisions": "r"}


@command("list")
def list_objects(session: Session, words: Words) -> None:
    """List the objects of this mode."""
    found, rest = options(words, LIST_OPTIONS)
    if rest:
        raise messages.usage("list [-f format] [-d delimiter] [-s keys] [-t type] [-p]")
    roles = session.places.here.mode == "roles"
    columns, rows = _roles(session, found) if roles else _objects(session, found)
    mark = found.get("delimiter", session.delimiter)
    as_json = _DELIMITER.match(mark)
    if as_json:
        full = session.daemon.switches["json_cells"] == "full"
        session.write(tables.json_rows(columns, rows, int(as_json[1] or 2), cells_cut=not full))
    else:
        session.write(tables.delimited(columns, rows, mark) if mark else tables.table(columns, rows))


def _roles(session: Session, found: dict[str, str]) -> Printed:
    """Roles, on nodes and categories the inherited ones too, with where they come from before their names."""
    places = session.places
    priority = "priority" in found
    if len(places.levels) == 2 and places.levels[0].mode in ("device", "category"):
        told = sorted(
            ((held.told(with_priority=priority), held.role) for held in places.held_roles()), key=lambda told: told[0]
        )
    else:
        told = sorted(places.entries().items())
    custom = found.get("format")
    if custom is None:
        width = ROLE_PRIORITY_WIDTH if priority else ROLE_WIDTH
        return [Column("Name (key)", width, width, cut=False)], [(name,) for name, _ in told]
    columns = columns_of(session.catalogue["GenericRole"], custom, lower=True)
    names = [name for name, _ in pieces(custom)]
    return columns, [tuple(_role_cell(session, role, label, name) for name in names) for label, role in told]


def _role_cell(session: Session, role: Entity, label: str, name: str) -> str:
    """A role's cell in a list with -f: blank when roles of its type do not have the property."""
    if name == "name":
        return label
    row = row_named(session.places.schema(role), name)
    return cell_of(session, row)(role) if row else ""


def _objects(session: Session, found: dict[str, str]) -> Printed:
    schema = schema_here(session)
    custom = found.get("format")
    told = custom or session.formats.get(session.places.here.mode) or default_format(session)
    if told == FORMAT_OVERLAY and session.daemon.switches["layouts"] == "older":
        return older_overlays(session)
    rows = [known_row(schema, name) for name, _ in pieces(told)]
    cells = [cell_of(session, row) for row in rows]
    entities = _chosen(session, found, schema)
    columns = columns_of(schema, told, lower=custom is not None)
    return columns, [tuple([cell(entity) for cell in cells]) for entity in entities]


def _chosen(session: Session, found: dict[str, str], schema: Schema) -> list[Entity]:
    """The objects to list in order: of the type asked for, by name or by the keys asked for."""
    places = session.places
    entries = dict(places.entries())
    if places.here.mode == "services":
        entries = {name: looked.entity for name, looked in places.services().items()}
    chosen = [entries[name] for name in sorted(entries, key=natural)]
    if places.here.mode == "softwareimage" and "revisions" not in found:
        chosen = [entity for entity in chosen if REVISION_MARK not in str(entity.values["name"])]
    if "type" in found:
        chosen = [entity for entity in chosen if entity.kind.lower() == found["type"].lower()]
    keys = found.get("sort", session.sorts.get(places.here.mode, "type" if places.here.mode == "device" else ""))
    for key in reversed([key for key in keys.split(",") if key]):
        chosen.sort(key=cell_of(session, known_row(schema, key)))
    return chosen


def schema_here(session: Session) -> Schema:
    """The schema of the objects that live here."""
    kinds = kinds_here(session)
    if not kinds:
        raise messages.wrong_mode("list")
    return session.catalogue[kinds[0]]


def kinds_here(session: Session) -> tuple[str, ...]:
    """The types of the objects here; in two submodes they are unknown, and a switch decides (bcm-facts §13 #2, #14)."""
    mode, submode = session.places.here.mode, session.places.submode()
    kinds = submode.kinds if submode else MODES[mode].kinds
    switches = session.daemon.switches
    if mode == "configurations" and switches["configuration_types"] == "accepted":
        return (*kinds, *OTHER_CONFIGURATIONS)
    if mode == "customizations" and switches["customizations"] == "accepted":
        return (CUSTOMIZATION,)
    return kinds


def default_format(session: Session) -> str:
    """The format of `list` without -f."""
    submode = session.places.submode()
    return submode.format if submode else MODES[session.places.here.mode].format


def row_named(schema: Schema, name: str) -> Row | None:
    """A field or submode by name; ``executionmultiplexer`` in a format is the submode with an s (AM11 App. L)."""
    return schema.fields.get(name) or schema.submodes.get(name) or schema.submodes.get(name + "s")


def known_row(schema: Schema, name: str) -> Row:
    """A field or submode by name, which has to be there."""
    row = row_named(schema, name)
    if row is None:
        raise messages.no_property(name)
    return row


def cell_of(session: Session, row: Row) -> Cell:
    """How a property looks in a list."""
    return submode_cell(row) if isinstance(row, Submode) else list_cell(session, row)


def pieces(told: str) -> list[tuple[str, tuple[int, int]]]:
    """The properties of a format such as ``hostname:14,ip,status:[16-32]``, with their widths."""
    found = []
    for piece in re.split(r",\s*", told.strip()):
        match = _WIDTH.match(piece.strip())
        if match is None:
            raise messages.bad_value("format", piece)
        name, fixed, low, high = match.groups()
        width = int(fixed or DEFAULT_WIDTH)
        found.append((name, (int(low or width), int(high or width))))
    return found


def columns_of(schema: Schema, told: str, *, lower: bool) -> list[Column]:
    """The columns of a format: titles by default, property names with -f."""
    columns = []
    for name, width in pieces(told):
        header = name if lower else known_row(schema, name).label
        columns.append(Column(header + (" (key)" if name == schema.key else ""), *width))
    return columns


@command("sort")
def sort(session: Session, words: Words) -> None:
    """Set the properties by which `list` sorts in this mode: ``sort a b`` (bcm-facts §1.4)."""
    schema = schema_here(session)
    for name in words:
        known_row(schema, name)
    session.sorts[session.places.here.mode] = ",".join(words)


@command("format")
def list_format(session: Session, words: Words) -> None:
    """Tell or set the format of `list` in this mode; -r resets it."""
    mode, schema = session.places.here.mode, schema_here(session)
    if words:
        session.formats.pop(mode, None)
        if words[0] not in ("-r", "--reset"):
            columns_of(schema, "".join(words), lower=True)
            session.formats[mode] = "".join(words)
        return
    told = session.formats.get(mode) or default_format(session)
    session.write(f"Current list printing format:\n{'-' * 29}\n{told}\n\nValid fields:\n{'-' * 13}\n")
    width = max(len(row.name) for row in schema.rows)
    session.write("".join(f"{row.name:{width}} : {row.label}\n" for row in schema.rows))
