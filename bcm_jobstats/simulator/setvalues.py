"""What `set` makes of the words it is given, by the type of the field."""

from __future__ import annotations

from collections.abc import Iterable

from bcm_jobstats.simulator import credentials, messages, noderanges
from bcm_jobstats.simulator.schema import BOOL, CATEGORIES, CHOICE, LINES, LONG, NODES, NUMBER, Field
from bcm_jobstats.simulator.session import Session

TRUE, FALSE = ("yes", "1", "on", "true"), ("no", "0", "off", "false")
"""Booleans in any case; printed yes and no (bcm-facts §1.2)."""

REFERENCES = {"category": "category", "softwareimage": "softwareimage", "wlmcluster": "wlm"}
"""Fields that hold the name of another object."""


def text_value(session: Session, field: Field, value: str) -> str:
    """A single value as it is kept, or an error when the field does not take it."""
    if field.type == BOOL:
        return _bool(field, value)
    if field.type == NUMBER:
        return _number(field, value)
    if field.type == CHOICE:
        return _choice(field, value)
    if field.type == LONG:
        return _loaded(session, value)
    mode = REFERENCES.get(field.name)
    if mode and value and session.drafts.get(mode, value) is None:
        raise messages.no_such(mode, value)
    return value


def _bool(field: Field, value: str) -> str:
    if value.lower() in TRUE:
        return "yes"
    if value.lower() in FALSE:
        return "no"
    raise messages.bad_value(field.name, value)


def _number(field: Field, value: str) -> str:
    try:
        return str(int(value))
    except ValueError as error:
        raise messages.bad_value(field.name, value) from error


def _choice(field: Field, value: str) -> str:
    for word in field.choices:
        if word.lower() == value.lower():
            return word
    raise messages.bad_value(field.name, value)


def _loaded(session: Session, value: str) -> str:
    """A long text is taken from the file that the value names, looked for on the head node first (bcm-facts §1.5)."""
    if not value.startswith("/"):
        return value
    path = credentials.found(value, session.cwd, session.root)
    return path.read_text(encoding="utf-8") if path.is_file() else value


def checked_list(session: Session, field: Field, values: Iterable[str], *, known: bool = True) -> list[str]:
    """The values of a list field: node lists expanded and sorted, names of nodes and categories checked."""
    if field.type == LINES:
        return list(values)
    if field.type not in (NODES, CATEGORIES):
        return [one for value in values for one in value.split(",") if one]
    names = noderanges.expand(values, session.read_file)
    mode = "device" if field.type == NODES else "category"
    for name in names:
        if known and session.drafts.get(mode, name) is None:
            raise messages.no_such(mode, name)
    return sorted(set(names), key=noderanges.natural)
