"""The uuids of all objects: derived from what they are called, so that the state itself needs none.

An object keeps its uuid when it gets another name, and a sub-entity has the one that the client made for it (bcm-facts
§8.1): these exceptions are kept in ``cmd/uuids.json``.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from threading import RLock

from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.state import write_atomically

_SPACE = uuid.UUID("6a1c2b2e-5a58-5d0e-9c55-3d2f6b0d7a10")


@lru_cache(maxsize=1 << 17)
def derived(parent: str, mode: str, name: str) -> str:
    """The uuid of something that nobody gave another one."""
    return str(uuid.uuid5(_SPACE, f"{parent}\0{mode}\0{name}"))


def is_v4(text: object) -> bool:
    """Whether a client made this uuid as it should: version 4, written as usual."""
    try:
        return isinstance(text, str) and uuid.UUID(text).version == 4 and str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


class Uuids:
    """Who has which uuid."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = RLock()
        self._given: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        self._index: dict[str, tuple[Mapping[str, Entity], dict[str, str]]] = {}

    def top(self, mode: str, name: str) -> str:
        """The uuid of an object of a mode."""
        return self.under("", mode, name)

    def under(self, parent: str, mode: str, name: str) -> str:
        """The uuid of a sub-entity, by the uuid of what it is in."""
        plain = derived(parent, mode, name)
        return self._given.get(plain, plain)

    def give(self, parent: str, mode: str, name: str, chosen: str) -> None:
        """What is called so has this uuid from now on."""
        if self.under(parent, mode, name) == chosen:
            return
        with self._lock:
            self._given = {**self._given, derived(parent, mode, name): chosen}
            self._index = {}
            write_atomically(self._file, json.dumps(self._given, indent=1))

    def renamed(self, mode: str, old: str, new: str) -> None:
        """An object takes its uuid along to its new name; what gets the old name later has another one."""
        with self._lock:
            kept = self.top(mode, old)
            self.give("", mode, old, str(uuid.uuid4()))
            self.give("", mode, new, kept)

    def forget(self, parent: str, mode: str, name: str) -> None:
        """Something went: what comes under its name later is another object."""
        plain = derived(parent, mode, name)
        with self._lock:
            if plain in self._given:
                self._given = {key: value for key, value in self._given.items() if key != plain}
                self._index = {}
                write_atomically(self._file, json.dumps(self._given, indent=1))

    def names(self, mode: str, table: Mapping[str, Entity]) -> dict[str, str]:
        """The names of the objects of a mode by uuid."""
        with self._lock:
            known = self._index.get(mode)
            if known is None or known[0] is not table:
                known = (table, {self.top(mode, name): name for name in table})
                self._index[mode] = known
            return known[1]
