"""Commands that look at objects: show, get, modified, usedby."""

from __future__ import annotations

from collections.abc import Iterator

from bcm_jobstats.simulator import messages, tables
from bcm_jobstats.simulator.cells import get_text, show_cell, submode_cell
from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.modes import MODES
from bcm_jobstats.simulator.resolver import names_in
from bcm_jobstats.simulator.schema import BCM11, Field
from bcm_jobstats.simulator.session import Session, command
from bcm_jobstats.simulator.tables import Column

Words = tuple[str, ...]
UNSEEN = ("SlurmWlmCluster", "Category", "SoftwareImage")
"""What nobody has seen a BCM 11 show (bcm-facts §13 #6)."""
REFERENCES = {"powerdistributionunits": "device", "nodes": "device", "categories": "category", "wlmcluster": "wlm"}
"""Fields that refer to objects of a mode, where the field is not called as the mode."""


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
    if schema.kind in UNSEEN and session.daemon.switches["show_labels"] == "other" and session.daemon.profile == BCM11:
        session.write(tables.show([(label.title(), cell) for label, cell in rows], (40, 39)))
        return
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
    """Tell which objects refer to this one (bcm-facts §1.5)."""
    here = session.places.here
    name = words[0] if words else here.chosen
    if name is None or session.places.find(name) is None:
        raise messages.no_such(session.places.what(), str(name))
    rows = [
        (MODES[mode].what.capitalize(), user, parameter)
        for mode, entries in session.daemon.state.tables.items()
        for user, entity in sorted(entries.items())
        for parameter in _references(session, entity, here.mode, name)
    ]
    session.write(f"{session.places.what().capitalize()} used by the following:\n")
    session.write(tables.table([Column("Type", 16, 32), Column("Name", 20, 32), Column("Parameter", 24, 24)], rows))


def _references(session: Session, entity: Entity, mode: str, name: str) -> Iterator[str]:
    schema = session.places.schema(entity)
    for field in schema.fields.values():
        refers = REFERENCES.get(field.name, field.name) == mode and field.name != schema.key
        if refers and name in [one.partition(":")[0] for one in names_in(entity, field.name)]:
            yield field.attribute
    for roles in entity.entries("roles").values():
        yield from _references(session, roles, mode, name)
