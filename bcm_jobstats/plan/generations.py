"""The journal: every run that changed something, with what was there before. Losing it costs rollback only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Optional

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.plan.model import Plan, load
from bcm_jobstats.plan.resource import Former


class NoSuchGeneration(JobstatsError):
    """The number names no generation in the journal."""


class BadJournal(JobstatsError):
    """A file of the journal that is not what we wrote."""


@dataclass(frozen=True)
class Generation:
    """One run: its number from 1, when it began (UTC), whether it reached its end, and its plan."""

    number: int
    began: str
    finished: bool
    plan: Plan


class Generations:
    """The directory `generations/NNNN/{plan.json, finished}`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def begin(self, plan: Plan) -> int:
        """Put `plan` on disk, durably, and return its number."""
        number = max(self._numbers(), default=0) + 1
        place = self.directory / f"{number:04d}"
        # A plan holds the content of files, also of those that only root may read.
        place.mkdir(parents=True, mode=0o700)
        self.directory.chmod(0o700)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        temporary = place / "plan.json.new"
        with open(temporary, "w", encoding="utf-8", opener=_private) as file:
            json.dump({**plan.to_json(), "began": now}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place / "plan.json")
        return number

    def finish(self, number: int) -> None:
        """Note that the run reached its end."""
        (self.directory / f"{number:04d}" / "finished").touch()

    def all(self) -> list[Generation]:
        """Every generation, oldest first; one whose plan never reached the disk changed nothing and is left out."""
        return list(self._all())

    def back_to_before(self, number: Optional[int]) -> dict[str, Former]:
        """address -> what it was before generation `number` (default: the last one)."""
        generations = self.all()
        if not generations:
            remedy = "With two head nodes each has its own: see bcm-jobstats generations on the other one."
            raise NoSuchGeneration("a generation", "is not in the journal of this head node: it holds no run", remedy)
        wanted = number if number is not None else max(generation.number for generation in generations)
        if wanted not in {generation.number for generation in generations}:
            there = f"{generations[0].number} to {generations[-1].number}"
            cause = f"is not in the journal (there: {there})"
            raise NoSuchGeneration(f"generation {wanted}", cause, "See: bcm-jobstats generations")
        formers: dict[str, Former] = {}
        for generation in reversed(generations):
            for change in generation.plan.changes if generation.number >= wanted else ():
                later = formers.get(change.address, Former(None))
                acted = later.acted or (change.before is not None and not change.fields())
                formers[change.address] = Former(change.before, later.fields | set(change.fields()), acted)
        return formers

    def unfinished(self) -> set[str]:
        """Addresses of the last run when it did not reach its end."""
        last = next(reversed(self.all()), None)
        return {change.address for change in last.plan.changes} if last and not last.finished else set()

    def _numbers(self) -> list[int]:
        if not self.directory.is_dir():
            return []
        return sorted(int(entry.name) for entry in self.directory.iterdir() if entry.name.isdigit())

    def _all(self) -> Iterator[Generation]:
        for number in self._numbers():
            place = self.directory / f"{number:04d}"
            file = place / "plan.json"
            if file.exists():
                yield Generation(number, _began(file), (place / "finished").exists(), load(file))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _began(file: Path) -> str:
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["began"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadJournal(
            str(file), "cannot be read", "Move its directory away: that costs going back to it."
        ) from error
