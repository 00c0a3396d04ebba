"""The pending changes of one session: copies of objects that nobody else sees until `commit` (bcm-facts §1.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.commits import Change
from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.modes import MODES
from bcm_jobstats.simulator.state import State


class Drafts:
    """What a session changed, by mode and name."""

    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state
        self._changes: dict[tuple[str, str], Change] = {}

    def table(self, mode: str) -> Mapping[str, Entity]:
        """The objects of a mode as the session sees them: committed ones with its own changes over them."""
        committed = self._state().table(mode)
        mine = [change for (of, _), change in self._changes.items() if of == mode]
        if not mine:
            return committed
        seen = dict(committed)
        for change in mine:
            if change.mine is None:
                seen.pop(change.name, None)
            else:
                seen[change.name] = change.mine
        return seen

    def get(self, mode: str, name: str) -> Entity | None:
        """One object as the session sees it."""
        change = self._changes.get((mode, name))
        return change.mine if change else self._state().table(mode).get(name)

    def edit(self, mode: str, name: str) -> Entity:
        """The session's own copy of an object."""
        change = self._changes.get((mode, name))
        if change is None:
            base = self._state().table(mode).get(name)
            if base is None:
                raise messages.no_such(MODES[mode].what, name)
            change = self._changes[mode, name] = Change(mode, name, base, base.copy())
        if change.mine is None:
            raise messages.no_such(MODES[mode].what, name)
        return change.mine

    def add(self, mode: str, name: str, entity: Entity, cloned_from: str = "") -> None:
        """Propose a new object, or one in place of an object that this session removes."""
        old = self._changes.get((mode, name))
        self._changes[mode, name] = Change(mode, name, old.base if old else None, entity, cloned_from)

    def remove(self, mode: str, name: str, *, delete_data: bool = False) -> None:
        """Propose a removal; an object that was only proposed is forgotten."""
        change = self._changes.get((mode, name))
        base = change.base if change else self._state().table(mode).get(name)
        if base is None:
            self._changes.pop((mode, name), None)
        else:
            self._changes[mode, name] = Change(mode, name, base, None, delete_data=delete_data)

    def pending(self, mode: str | None = None, name: str | None = None) -> list[Change]:
        """The changes of a mode, or of one object of it, that differ from what they started from."""
        return [
            change
            for (of, called), change in self._changes.items()
            if mode in (None, of) and name in (None, called) and change.changed
        ]

    def forget(self, mode: str | None = None, name: str | None = None) -> None:
        """Drop changes: they were committed, or `refresh` was asked for."""
        for key in [key for key in self._changes if mode in (None, key[0]) and name in (None, key[1])]:
            del self._changes[key]

    def of(self, mode: str, name: str) -> Change | None:
        """The change of an object, if it has one."""
        return self._changes.get((mode, name))
