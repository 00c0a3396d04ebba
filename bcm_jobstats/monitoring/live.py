"""The targets directory over time: only files that changed are read again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bcm_jobstats.monitoring import compact
from bcm_jobstats.monitoring.registry import Group, paths, read, stamp


@dataclass(frozen=True)
class Answer:
    """All targets as Prometheus takes them, and what they are counted as."""

    text: bytes
    etag: str
    targets: int
    files: int
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Known:
    """A file as it was last read: `stamp` tells whether it is another one now."""

    stamp: tuple[int, ...]
    groups: tuple[Group, ...]
    fault: str


class Live:
    """What stands in a directory now. Not for two threads at once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: Mapping[Path, _Known] = {}
        self._answer = Answer(b"", "", -1, -1)

    def look(self) -> Answer:
        """The targets now; NoDirectory, NotListed. A file that cannot be used any more counts as it was when it could,
        as Prometheus itself has it with files."""
        known = {path: self._one(path) for path in paths(self._directory)}
        if known != self._known or self._answer.files < 0:
            self._answer = _answer(known)
        self._known = known
        return self._answer

    def _one(self, path: Path) -> _Known:
        before, now = self._known.get(path), stamp(path)
        if before is not None and before.stamp == now:
            return before
        file = read(path)
        return _Known(now, before.groups if file.fault and before else file.groups, file.fault)


def _answer(known: Mapping[Path, _Known]) -> Answer:
    groups = [group for one in known.values() for group in one.groups]
    text = compact.text(groups)
    faults = tuple(f"{path}: {one.fault}" for path, one in known.items() if one.fault)
    etag = f'"{hashlib.sha256(text).hexdigest()[:32]}"'
    return Answer(text, etag, sum(len(group.targets) for group in groups), len(known), faults)
