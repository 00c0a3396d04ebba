"""Commands that look: list, format, show, get, modified, usedby."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from getopt import GetoptError, gnu_getopt
from typing import Optional

from bcm_jobstats.simulator import messages, tables
from bcm_jobstats.simulator.cells import Cell, get_text, list_cell, show_cell, submode_cell
from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.kinds import MODES
from bcm_jobstats.simulator.noderanges import natural
from bcm_jobstats.simulator.resolver import names_in
from bcm_jobstats.simulator.schema import Field, Schema
from bcm_jobstats.simulator.session import Session, command
from bcm_jobstats.simulator.tables import Column

Words = tuple[str, ...]
_WIDTH = re.compile(r"^([^:]+)(?::(?:(\d+)|\[(\d+)-(\d+)\]))?$")
_DELIMITER = re.compile(r"^\{(\d*)\}$")
DEFAULT_WIDTH = 20
ROLE_WIDTH, ROLE_PRIORITY_WIDTH = 32, 40
"""Columns of role lists, whose dash runs are 31 and 39; their cells are not cut (bcm-facts §1.7)."""

LIST_OPTIONS = {"format=": "f", "delimiter=": "d", "sort=": "s", "priority": "p", "type=": "t", "revisions": "r"}


def options(words: Sequence[str], known: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The options of a command by their long names, and its other words; `known` is long name -> letter."""
    found, rest = _options(tuple(words), tuple(known.items()))
    return dict(found), list(rest)


@lru_cache(maxsize=1024)
def _options(words: Words, known: tuple[tuple[str, str], ...]) -> tuple[dict[str, str], Words]:
    short = "".join(letter + (":" if name.endswith("=") else "") for name, letter in known if letter)
    letters = {letter: name.rstrip("=") for name, letter in known}
    try:
        found, rest = gnu_getopt(list(words), short, [name for name, _ in known])
    except GetoptError as error:
        raise messages.usage(str(error)) from error
    return {key[2:] if key.startswith("--") else letters[key[1:]]: value for key, value in found}, tuple(rest)


@command("list")
def list_objects(session: Session, words: Words) -> None:
    """List the objects of this mode."""
    found, rest = options(words, LIST_OPTIONS)
    if rest:
        raise messages.usage("list [-f format] [-d delimiter] [-s keys] [-t type] [-p]")
    places = session.places
    if places.here.mode == "roles":
        columns, rows = _roles(session, with_priority="priority" in found)
    else:
        columns, rows = _objects(session, found)
    mark = found.get("delimiter", session.delimiter)
    as_json = _DELIMITER.match(mark)
    if as_json:
        full = session.daemon.switches["json_cells"] == "full"
        session.write(tables.json_rows(columns, rows, int(as_json[1] or 2), cells_cut=not full))
    else:
        session.write(tables.delimited(columns, rows, mark) if mark else tables.table(columns, rows))


def _roles(session: Session, *, with_priority: bool) -> tuple[list[Column], list[tables.Line]]:
    places = session.places
    if len(places.levels) == 2 and places.levels[0].mode in ("device", "category"):
        told = sorted(held.told(with_priority=with_priority) for held in places.held_roles())
    else:
        told = sorted(places.entries())
    width = ROLE_PRIORITY_WIDTH if with_priority else ROLE_WIDTH
    return [Column("Name (key)", width, width, cut=False)], [(name,) for name in told]


def _objects(session: Session, found: dict[str, str]) -> tuple[list[Column], list[tables.Line]]:
    schema = schema_here(session)
    custom = found.get("format")
    entities = _sorted(session, found.get("type"), found.get("sort"), schema)
    columns, cells = columns_of(session, schema, custom or default_format(session), lower=custom is not None)
    return columns, [tuple([cell(entity) for cell in cells]) for entity in entities]


def _sorted(session: Session, kind: Optional[str], keys: Optional[str], schema: Schema) -> list[Entity]:
    places = session.places
    if places.here.mode == "services":
        entries = {name: looked.entity for name, looked in places.services().items()}
    else:
        entries = dict(places.entries())
    chosen = [
        entries[name] for name in sorted(entries, key=natural) if not kind or entries[name].kind.lower() == kind.lower()
    ]
    if keys is None:
        return sorted(chosen, key=lambda entity: entity.kind) if places.here.mode == "device" else chosen
    for key in reversed(keys.split(",")):
        chosen.sort(key=cell_of(session, schema, key))
    return chosen


def schema_here(session: Session) -> Schema:
    """The schema of the objects that live here."""
    submode = session.places.submode()
    kinds = submode.kinds if submode else MODES[session.places.here.mode].kinds
    if not kinds:
        raise messages.wrong_mode("list")
    return session.catalogue[kinds[0]]


def default_format(session: Session) -> str:
    """The format of `list` without -f."""
    submode = session.places.submode()
    return submode.format if submode else MODES[session.places.here.mode].format


def cell_of(session: Session, schema: Schema, name: str) -> Cell:
    """How a property looks in a list."""
    field, submode = schema.fields.get(name), schema.submodes.get(name)
    if field is not None:
        return list_cell(session, field)
    if submode is not None:
        return submode_cell(submode)
    raise messages.no_property(name)


def columns_of(session: Session, schema: Schema, told: str, *, lower: bool) -> tuple[list[Column], list[Cell]]:
    """The columns of a format such as ``hostname:14,ip``: titles by default, property names with -f."""
    columns, cells = [], []
    for piece in re.split(r",\s*", told.strip()):
        found = _WIDTH.match(piece.strip())
        if found is None:
            raise messages.bad_value("format", piece)
        name, fixed, low, high = found.groups()
        row = schema.fields.get(name) or schema.submodes.get(name)
        if row is None:
            raise messages.no_property(name)
        header = (name if lower else row.label) + (" (key)" if name == schema.key else "")
        width = int(fixed or DEFAULT_WIDTH)
        columns.append(Column(header, int(low or width), int(high or width)))
        cells.append(cell_of(session, schema, name))
    return columns, cells


@command("format")
def list_format(session: Session, words: Words) -> None:
    """Tell the format of `list` and the properties it can have."""
    del words
    session.write(f"Current list printing format:\n{'-' * 29}\n{default_format(session)}\n\n")
    session.write(f"Valid fields:\n{'-' * 13}\n")
    schema = schema_here(session)
    width = max(len(row.name) for row in schema.rows)
    for row in schema.rows:
        session.write(f"{row.name:{width}} : {row.label}\n")


@command("show")
def show(session: Session, words: Words) -> None:
    """Show all properties of an object."""
    entity = named(session, words[0]) if words else session.places.read()
    schema = session.places.schema(entity)
    rows = [
        (row.label, (show_cell(session, row) if isinstance(row, Field) else submode_cell(row))(entity))
        for row in schema.rows
        if not (schema.kind == "SlurmWlmCluster" and row.name in ("servers", "submits", "clients"))
    ]
    session.write(tables.show(rows, schema.widths))


def named(session: Session, name: str) -> Entity:
    """An object of this level by name."""
    if session.places.levels and session.places.here.chosen is not None:
        raise messages.usage("the object in use is shown without a name")
    session.places.here  # noqa: B018  # outside every mode there are no objects
    found = session.places.find(name)
    if found is None:
        raise messages.no_such(session.places.what(), name)
    return found


@command("get")
def get(session: Session, words: Words) -> None:
    """Print a property: ``get PROPERTY`` of the object in use, ``get NAME PROPERTY`` of another."""
    chosen = session.places.here.chosen is not None
    if len(words) != (1 if chosen else 2):
        raise messages.usage("get [name] <property>")
    entity = session.places.read() if chosen else named(session, words[0])
    text = get_text(session, entity, words[-1].lower() if words[-1] not in entity.extra else words[-1])
    if text or session.daemon.switches["empty_get"] == "line":
        session.write(text.rstrip("\n") + "\n")


@command("modified")
def modified(session: Session, words: Words) -> None:
    """Tell what is not committed yet (bcm-facts §1.5)."""
    del words
    top = session.places.levels[0].mode if session.places.levels else None
    pending = session.drafts.pending(top)
    if not pending:
        session.write(f"No modified objects of type {top}\n" if top else "No modified objects\n")
        return
    columns = [Column("State", 6, 6), Column("Type", 24, 24), Column("Name", 35, 35)]
    rows = []
    for change in pending:
        state = "+" if change.base is None else "-" if change.mine is None else ""
        entity = change.mine or change.base
        rows.append((state, entity.kind if entity else "", change.name))
    session.write(tables.table(columns, rows))


@command("usedby")
def used_by(session: Session, words: Words) -> None:
    """Tell which objects refer to this one."""
    here = session.places.here
    name = words[0] if words else here.chosen
    if name is None:
        raise messages.no_object()
    field = {"device": "nodes", "category": "categories"}.get(here.mode, here.mode)
    rows = []
    for mode, entries in session.daemon.state.tables.items():
        for user, entity in sorted(entries.items()):
            for key in (field, here.mode):
                if mode != here.mode and name in names_in(entity, key):
                    rows.append((entity.kind, user, key))
    kind = named(session, name).kind if here.chosen is None else session.places.read().kind
    session.write(f"{kind} used by the following:\n")
    session.write(tables.table([Column("Type", 20, 20), Column("Name", 20, 20), Column("Parameter", 20, 20)], rows))
