"""CMDaemon's database: the committed objects, one immutable picture after another, kept in ``cmd/state.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import Any

from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.resolver import FIRST, Resolver

Tables = dict[str, dict[str, Entity]]


@dataclass(frozen=True)
class State:
    """What is committed at one moment: mode -> name -> object. Never changed: a commit makes the next one."""

    tables: Mapping[str, Mapping[str, Entity]]
    equal_priority: str = FIRST
    """Which of two overlays of one priority wins, by name (bcm-facts §13 #16)."""

    def table(self, mode: str) -> Mapping[str, Entity]:
        """The objects of a mode."""
        return self.tables.get(mode, {})

    @cached_property
    def resolver(self) -> Resolver:
        """Who has which role, worked out once for this picture."""
        return Resolver(self.tables, self.equal_priority)

    def copy(self) -> Tables:
        """The tables to build the next picture from; the objects are shared, and replaced rather than changed."""
        return {mode: dict(table) for mode, table in self.tables.items()}

    def to_json(self) -> dict[str, Any]:
        """The whole state, the same for the same objects whatever happened before."""
        return {
            mode: {name: entity.to_json() for name, entity in sorted(table.items())}
            for mode, table in sorted(self.tables.items())
        }


class Store:
    """The committed state and its file. Readers take `state`; whoever replaces it holds `changing`."""

    def __init__(self, file: Path, state: State) -> None:
        self._file = file
        self._lock = RLock()
        self.state = state
        self._write(state)

    def resolving(self, equal_priority: str) -> State:
        """The state, in which overlays of one priority are resolved as told."""
        if self.state.equal_priority != equal_priority:
            with self._lock:
                self.state = State(self.state.tables, equal_priority)
        return self.state

    @contextmanager
    def changing(self) -> Iterator[State]:
        """The state while nobody else can replace it."""
        with self._lock:
            yield self.state

    def replace(self, tables: Tables) -> None:
        """The next state: on disk before anybody sees it."""
        state = State(tables, self.state.equal_priority)
        with self._lock:
            self._write(state)
            self.state = state

    def _write(self, state: State) -> None:
        write_atomically(self._file, json.dumps(state.to_json(), separators=(",", ":")))


def write_atomically(file: Path, text: str) -> None:
    """The whole text or the old file, also after a kill; a simulation need not outlive its machine's loss of power."""
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)


def load(file: Path) -> State:
    """The state that a file holds."""
    told = json.loads(file.read_text(encoding="utf-8"))
    return State({mode: {n: Entity.from_json(e) for n, e in table.items()} for mode, table in told.items()})
