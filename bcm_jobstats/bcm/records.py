"""Objects of CMDaemon's API, read strictly whichever way they came: as JSON (bcm-facts §8.1) or from pythoncm (§7)."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional, Protocol, TypeVar

from bcm_jobstats.bcm.errors import Unreadable

T = TypeVar("T")
SURROGATE = re.compile("[\ud800-\udfff]")
BRIEF = reprlib.Repr()
BRIEF.maxstring = BRIEF.maxother = BRIEF.maxlong = 60
MISSING = object()
"""What an object has under a key that it does not have."""
REMEDY = "Report this with the version of BCM, and use `--bcm cmsh` meanwhile."


def shown(value: object) -> str:
    """Something unexpected for an error message: however large or deeply nested it is, in a few words."""
    return f"{BRIEF.repr(value):.60}"


class Source(Protocol):
    """Where objects come from: how their fields are got, and whose name a reference stands for."""

    name: str
    """As error messages call it."""

    def get(self, raw: object, key: str) -> object:
        """The field of an object, MISSING when it has none of that name."""

    def refer(self, kind: str, value: object) -> Optional[str]:
        """The name of the object of a kind that `value` refers to; empty: to none; None: to one that is not known."""


@dataclass(frozen=True)
class Record:
    """One object. Every method raises Unreadable, which names the object, when a field is missing or not as told."""

    source: Source
    label: str
    raw: object

    def has(self, key: str) -> bool:
        """Whether there is such a field, and something in it."""
        return self.source.get(self.raw, key) not in (MISSING, None)

    def text(self, key: str) -> str:
        """A text; one with half a character in it, as JSON may hold it, could not be printed or stored."""
        value = self._typed(key, str, "a text")
        if SURROGATE.search(value):
            raise self._wrong(key, value, "a valid text")
        return value

    def flag(self, key: str) -> bool:
        """Yes or no."""
        return self._typed(key, bool, "true or false")

    def number(self, key: str) -> int:
        """A whole number."""
        value = self._typed(key, int, "a whole number")
        if isinstance(value, bool):
            raise self._wrong(key, value, "a whole number")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        found = tuple(one for one in self.items(key) if isinstance(one, str) and not SURROGATE.search(one))
        if len(found) != len(self.items(key)):
            raise self._wrong(key, self.items(key), "a list of texts")
        return found

    def items(self, key: str) -> Sequence[object]:
        """A list of anything."""
        value = self.source.get(self.raw, key)
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
            raise self._wrong(key, value, "a list")
        return value

    def inner(self, key: str) -> Optional[Record]:
        """An object inside this one, None for null."""
        value = self.source.get(self.raw, key)
        if value is MISSING:
            raise self._wrong(key, value, "an object")
        return None if value is None else Record(self.source, f"{key} of {self.label}", value)

    def reference(self, key: str, kind: str) -> str:
        """The name of the object that is referred to; empty for none."""
        return self._referred(key, kind, self.source.get(self.raw, key))

    def references(self, key: str, kind: str) -> tuple[str, ...]:
        """The names of the objects that are referred to, sorted."""
        found = tuple(sorted(self._referred(key, kind, value) for value in self.items(key)))
        if "" in found:
            raise self._wrong(key, self.items(key), f"a list in which each is a {kind}")
        return found

    def _referred(self, key: str, kind: str, value: object) -> str:
        name = None if value is MISSING else self.source.refer(kind, value)
        if name is None:
            raise self._wrong(key, value, f"a {kind} that is known")
        return name

    def _typed(self, key: str, wanted: type[T], words: str) -> T:
        value = self.source.get(self.raw, key)
        if not isinstance(value, wanted):
            raise self._wrong(key, value, words)
        return value

    def _wrong(self, key: str, value: object, wanted: str) -> Unreadable:
        if value is MISSING:
            return Unreadable(self.label, f"{self.source.name} has no {key} for it", REMEDY)
        return Unreadable(self.label, f"{self.source.name} has {shown(value)} as {key}, which is not {wanted}", REMEDY)


def named(source: Source, kind: str, raws: object, key: str = "name") -> dict[str, Record]:
    """Objects by name; raises Unreadable when it is no list of objects that each have a name of their own."""
    if not isinstance(raws, Sequence) or isinstance(raws, (str, bytes)):
        raise Unreadable(source.name, f"told {shown(raws)} where a list was asked for, of every {kind}", REMEDY)
    found: dict[str, Record] = {}
    for number, raw in enumerate(raws, start=1):
        name = Record(source, f"{kind} number {number}", raw).text(key)
        if not name or name in found:
            raise Unreadable(f"{kind} {name or number}", "two have that name" if name else "it has no name", REMEDY)
        found[name] = Record(source, f"{kind} {name}", raw)
    return found
