"""The words to describe what an object of BCM has: its fields, its submodes, and how `show` and `list` tell them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Optional, Union

from bcm_jobstats.simulator.entities import Entity, Value

BCM10, BCM11 = "bcm10", "bcm11"
PROFILES = (BCM10, BCM11)

TEXT, LONG, BOOL, NUMBER, LIST, LINES, NODES, CATEGORIES, CHOICE, COMPUTED, FIXED = (
    "text",  # one line
    "long",  # taken from a file when the value is a path (bcm-facts §1.5)
    "bool",
    "number",
    "list",
    "lines",  # a list that `get` prints one a line (bcm-facts §1.7, AM11 §6.4)
    "nodes",  # a node list, printed in dot form
    "categories",
    "choice",  # one of some words
    "computed",  # not kept: worked out when it is printed
    "fixed",  # printed, never set
)

MANY = (LIST, LINES, NODES, CATEGORIES)


@dataclass(frozen=True)
class Field:
    """A property: cmsh's name for it, its label in `show`, its type, its default, and the profiles that have it."""

    name: str
    label: str
    type: str = TEXT
    default: Value = ""
    choices: tuple[str, ...] = ()
    profiles: tuple[str, ...] = PROFILES
    attribute: str = ""
    """The camelCase name that validation tables use (``wlmCluster``: bcm-facts §1.5)."""

    @property
    def many(self) -> bool:
        """Whether it holds a list."""
        return self.type in MANY


@dataclass(frozen=True)
class Submode:
    """A submode: its row in `show` tells its entries' names, their number, or is left out."""

    name: str
    label: str
    kinds: tuple[str, ...] = ()
    told: str = "count"
    """``names``, ``count`` (``<2 in submode>``) or ``text`` (``<submode>``)."""
    single: bool = False
    """One object without a name of its own: entering the submode chooses it (wlm's cgroups)."""
    format: str = "name:32"


Row = Union[Field, Submode]


@dataclass(frozen=True)
class Schema:
    """What objects of one type have, in the order of `show`."""

    kind: str
    rows: tuple[Row, ...]
    key: str = "name"
    widths: tuple[int, int] = (32, 47)

    @cached_property
    def fields(self) -> dict[str, Field]:
        """The fields by name."""
        return {row.name: row for row in self.rows if isinstance(row, Field)}

    @cached_property
    def submodes(self) -> dict[str, Submode]:
        """The submodes by name."""
        return {row.name: row for row in self.rows if isinstance(row, Submode)}

    def value(self, entity: Entity, name: str) -> Value:
        """The value of a field, its default when it is not set."""
        found: Optional[Value] = entity.values.get(name)
        return self.fields[name].default if found is None else found


def f(label: str, type: str = TEXT, default: Value = "", **more: object) -> Field:  # the field's word
    """A field whose cmsh name is its label in lower case without spaces, as in `allheadnodes`."""
    words = label.split()
    name = str(more.pop("name", "".join(words).lower()))
    attribute = str(more.pop("attribute", words[0].lower() + "".join(word.capitalize() for word in words[1:])))
    if type in MANY and default == "":
        default = ()
    return Field(name, label, type, default, attribute=attribute, **more)  # type: ignore[arg-type]


def yes(label: str, **more: object) -> Field:
    """A switch that is on unless set."""
    return f(label, BOOL, "yes", **more)


def no(label: str, **more: object) -> Field:
    """A switch that is off unless set."""
    return f(label, BOOL, "no", **more)


def of_profile(rows: Iterable[Row], profile: str) -> tuple[Row, ...]:
    """The rows that a version of BCM has."""
    return tuple(row for row in rows if isinstance(row, Submode) or profile in row.profiles)
