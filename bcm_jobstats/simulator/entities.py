"""An object of CMDaemon's database as the simulator keeps it, and the merge that a commit is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional, TypeVar, Union

Value = Union[str, tuple[str, ...]]
"""What a property holds: text (numbers and yes/no included), or a list of texts."""

T = TypeVar("T")


@dataclass(eq=False)
class Entity:
    """One object: its type, the properties that differ from their defaults, its submodes and its extra values.

    Only what differs from a default is kept, so that setting a value and setting it back leaves no trace.
    Committed entities are never changed in place: a session works on a copy.
    """

    kind: str
    values: dict[str, Value] = field(default_factory=dict)
    children: dict[str, dict[str, Entity]] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        """The same object: a submode without entries counts as none."""
        if not isinstance(other, Entity):
            return NotImplemented
        mine, theirs = ({mode: one for mode, one in each.children.items() if one} for each in (self, other))
        return (self.kind, self.values, self.extra, mine) == (other.kind, other.values, other.extra, theirs)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def copy(self) -> Entity:
        """A copy that shares nothing that can change."""
        children = {
            mode: {name: child.copy() for name, child in entries.items()} for mode, entries in self.children.items()
        }
        return Entity(self.kind, dict(self.values), children, dict(self.extra))

    def within(self, submode: str) -> dict[str, Entity]:
        """The entries of a submode, made when it has none yet."""
        return self.children.setdefault(submode, {})

    def entries(self, submode: str) -> dict[str, Entity]:
        """The entries of a submode, for reading."""
        return self.children.get(submode, {})

    def to_json(self) -> dict[str, Any]:
        """The entity for ``state.json``: nothing that is empty, lists as lists."""
        told: dict[str, Any] = {"kind": self.kind}
        if self.values:
            told["values"] = {k: list(v) if isinstance(v, tuple) else v for k, v in sorted(self.values.items())}
        children = {
            mode: {name: child.to_json() for name, child in sorted(entries.items())}
            for mode, entries in sorted(self.children.items())
            if entries
        }
        if children:
            told["children"] = children
        if self.extra:
            told["extra"] = dict(sorted(self.extra.items()))
        return told

    @staticmethod
    def from_json(told: dict[str, Any]) -> Entity:
        """The entity that `to_json` told of."""
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in told.get("values", {}).items()}
        children = {
            mode: {name: Entity.from_json(child) for name, child in entries.items()}
            for mode, entries in told.get("children", {}).items()
        }
        return Entity(told["kind"], values, children, dict(told.get("extra", {})))


def merge(base: Entity, mine: Entity, theirs: Entity) -> Entity:
    """`theirs` with just what changed from `base` to `mine`: the last writer of a property wins.

    No public text speaks of a lock between two sessions, so there is none.
    """
    result = theirs.copy()
    _merge_flat(base.values, mine.values, result.values)
    _merge_flat(base.extra, mine.extra, result.extra)
    for mode in {*base.children, *mine.children}:
        _merge_children(base.entries(mode), mine.entries(mode), result.within(mode))
    return result


def _merge_flat(base: dict[str, T], mine: dict[str, T], into: dict[str, T]) -> None:
    for name in {*base, *mine}:
        wanted: Optional[T] = mine.get(name)
        if wanted == base.get(name):
            continue
        if wanted is None:
            into.pop(name, None)
        else:
            into[name] = wanted


def _merge_children(base: dict[str, Entity], mine: dict[str, Entity], into: dict[str, Entity]) -> None:
    for name in {*base, *mine}:
        if name not in mine:
            into.pop(name, None)
        elif name not in base or name not in into:
            if mine[name] != base.get(name):
                into[name] = mine[name].copy()
        elif mine[name] != base[name]:
            into[name] = merge(base[name], mine[name], into[name])
