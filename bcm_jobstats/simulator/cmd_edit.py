"""Commands that propose values: set, append, removefrom, clear (bcm-facts §1.5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.entities import Value
from bcm_jobstats.simulator.places import Level
from bcm_jobstats.simulator.schema import COMPUTED, FIXED, LONG, Field, Schema
from bcm_jobstats.simulator.services import ROLE_MARK
from bcm_jobstats.simulator.session import Session, command
from bcm_jobstats.simulator.setvalues import checked_list, text_value

Words = tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """What a command is about: the object at `levels`, one of its fields, and the words left."""

    levels: list[Level]
    schema: Schema
    field: Field
    words: Words

    def value(self, session: Session) -> Value:
        """The field's value now."""
        return self.schema.value(session.places.read(self.levels), self.field.name)

    def put(self, session: Session, value: str | Iterable[str]) -> None:
        """Propose a value; one that is the default leaves nothing behind."""
        kept: Value = value if isinstance(value, str) else tuple(value)
        entity = session.places.edit(self.levels)
        if kept == self.field.default and ROLE_MARK not in entity.values:
            entity.values.pop(self.field.name, None)
        else:
            entity.values[self.field.name] = kept


def named_object(session: Session, words: Words) -> tuple[list[Level], Words]:
    """The levels of the object that a command is about: the one in use, or the one that it names first."""
    levels = session.places.levels
    if session.places.here.chosen is not None:
        return levels, words
    if not words:
        raise messages.no_object()
    if session.places.find(words[0]) is None:
        raise messages.no_such(session.places.what(), words[0])
    return [*levels[:-1], Level(levels[-1].mode, words[0])], words[1:]


def target(session: Session, words: Words) -> Target:
    """The field that the words of a command name; nothing is changed before that is clear."""
    levels, rest = named_object(session, words)
    if not rest:
        raise messages.usage("[name] <property> <value>")
    schema = session.places.schema(session.places.read(levels))
    field = schema.fields.get(rest[0].lower())
    if field is None:
        raise messages.no_property(rest[0])
    if field.type in (COMPUTED, FIXED):
        raise messages.read_only(rest[0])
    return Target(levels, schema, field, rest[1:])


@command("set")
def set_value(session: Session, words: Words) -> None:
    """Set a property: ``set PROPERTY VALUE…`` or ``set NAME PROPERTY VALUE…``; ``set -e NAME VALUE`` an extra one."""
    if words[:1] in (("-e",), ("--extra",)):
        levels, rest = named_object(session, words[1:])
        if len(rest) < 2:
            raise messages.usage("set -e <name> <value>")
        session.places.edit(levels).extra[rest[0]] = " ".join(rest[1:])
        return
    about = target(session, words)
    if about.field.many:
        about.put(session, checked_list(session, about.field, about.words))
    elif about.words:
        about.put(session, text_value(session, about.field, " ".join(about.words)))
    elif about.field.type == LONG:
        session.hang()  # cmsh opens an editor here, which nobody answers (bcm-facts §1.5)
    else:
        raise messages.usage("set <property> <value>")


def _list(session: Session, words: Words) -> tuple[Target, list[str]]:
    about = target(session, words)
    if not about.field.many:
        raise messages.not_a_list(about.field.name)
    if not about.words:
        raise messages.usage("append|removefrom <property> <value>")
    return about, list(about.value(session))


def fold(about: Target, value: str) -> str:
    """A value of a list for comparison: tokens are written in either case (AM11 §6.4)."""
    return value.upper() if about.field.name == "tokens" else value


@command("append")
def append(session: Session, words: Words) -> None:
    """Add values to a list."""
    about, current = _list(session, words)
    fresh = checked_list(session, about.field, about.words)
    about.put(session, checked_list(session, about.field, dict.fromkeys([*current, *fresh])))


@command("removefrom")
def remove_from(session: Session, words: Words) -> None:
    """Take values out of a list."""
    about, current = _list(session, words)
    gone = {fold(about, one) for one in checked_list(session, about.field, about.words, known=False)}
    about.put(session, [one for one in current if fold(about, one) not in gone])


@command("clear")
def clear(session: Session, words: Words) -> None:
    """Unset a property."""
    about = target(session, words)
    if about.field.name == about.schema.key:
        raise messages.read_only(about.field.name)
    session.places.edit(about.levels).values.pop(about.field.name, None)
