"""Resources are data; providers are what reads and writes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

State = Mapping[str, Any]
"""The fields of one resource, JSON-able; lists are compared in the order given."""


@dataclass(frozen=True)
class Resource:
    """One thing that should exist.

    `values` are the fields we own. `initial` are given at creation and are the administrator's afterwards: never
    reverted, never drift. `triggers` are address prefixes: a change under one of them makes this resource act again.
    `mark` names the field that only says whose the thing is. `whole`: `values` are all the fields the thing has, so
    that a field beyond them is a difference; otherwise such a field is the administrator's.
    """

    kind: str
    name: str
    values: State
    initial: State = field(default_factory=dict)
    triggers: tuple[str, ...] = ()
    mark: str = ""
    whole: bool = False

    @property
    def address(self) -> str:
        """`kind.name`, unique in a plan."""
        return f"{self.kind}.{self.name}"


@dataclass(frozen=True)
class Found:
    """What exists now: every field that can be read, and whether it carries our mark.

    `setting`: it is a setting of something that is not ours and has some value always. That another one is wanted is
    enough to take it over; what it was is kept like that of any other thing that is taken over.
    """

    values: State
    ours: bool
    setting: bool = False


@dataclass(frozen=True)
class Former:
    """What a resource was: its state (None: it was not there), the fields that changed since by our doing, and whether
    it acted without any field changing."""

    state: State | None
    fields: frozenset[str] = frozenset()
    acted: bool = False


class Provider(Protocol):
    """Reads and writes one kind of resource. Writes raise a JobstatsError unless the result was read back."""

    kind: str
    rank: int
    """Order of creation and change, lowest first."""
    rank_down: int
    """Order of removal, on the same scale as `rank`."""

    def read(self, names: Collection[str]) -> Mapping[str, Found]:
        """All of `names` that exist, and everything else of this kind that carries our mark."""

    def write(self, name: str, before: State | None, after: State) -> None:
        """Create (`before` is None) or change one resource so that its fields are as in `after`."""

    def leaves(self, name: str, state: State) -> State | None:
        """What one of ours becomes instead of being removed, because it holds what an administrator put there."""

    def remove(self, name: str, before: State) -> State | None:
        """Remove one resource; a state is returned when something of the administrator's had to stay after all."""

    def commands(self, name: str, before: State | None, after: State | None) -> list[str]:
        """The shell or cmsh lines that do the same by hand."""
