"""/var/lib/bcm-role-monitor: the file of state.py, always whole, and what a renamed node left under its old name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.node import ownfiles
from bcm_jobstats.node.state import State, decode, encode

SUFFIX = "_state.json"
LARGEST = 1 << 20
LEFTOVER = 60.0
"""Seconds after which an unfinished file is nobody's: --once and the service may write at the same time."""


class StateLost(JobstatsError):
    """What the agent knows cannot be kept: the disk is full or failing. It goes on with what it has in memory."""


class Store:
    """The state files of one directory. With `dry_run` nothing there is touched."""

    def __init__(self, directory: Path, role: str, targets: Path, dry_run: bool = False) -> None:
        self.directory = directory
        self.role, self.targets = role, str(targets)
        self.dry_run = dry_run
        self._saved: Optional[tuple[Path, bytes]] = None

    def load(self, host: str) -> tuple[State, list[JobstatsError]]:
        """What is known of this node, and which files could not be read and were set aside.

        Files of other names are of this node before it was renamed: the targets that it registered are still there,
        and its services are the same. The role is not believed: what BCM said was about another name.
        """
        problems: list[JobstatsError] = []
        state = self._read(host, problems)
        found = state or State(host)
        others = [one for one in (self._read(name, problems) for name in self._other_names(host)) if one]
        for other in sorted(others, key=lambda one: one.last_check or 0.0):
            if state is None:
                found.retries = other.retries
            found.clusters = sorted({*found.clusters, *other.clusters})
            found.started = sorted({*found.started, *other.started})
            for directory, names in other.registered.items():
                found.record(directory, {*names, *found.registered.get(directory, [])})
        return found, problems

    def save(self, state: State) -> None:
        """Replace the state by this one, or leave it as it was; then files of other names go. Raises StateLost."""
        path, content = self._path(state.host), encode(state, self.role)
        if self.dry_run or (path, content) == self._saved:
            return
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            ownfiles.replace(path, content)
            self._tidy(state.host)
        except OSError as error:
            raise StateLost(str(path), (error.strerror or str(error)).lower(), "Is the disk full?") from error
        self._saved = path, content

    def _tidy(self, host: str) -> None:
        """All that files of other names tell is saved under this one by now; they go, and so does what killed agents
        left unfinished."""
        for path in [*self._leftovers(), *map(self._path, self._other_names(host))]:
            path.unlink(missing_ok=True)

    def _leftovers(self) -> Iterator[Path]:
        now = time.time()
        for path in self.directory.glob(f".*{SUFFIX}.*"):
            try:
                if abs(now - path.lstat().st_mtime) > LEFTOVER:
                    yield path
            except FileNotFoundError:  # its writer has finished it
                pass

    def _path(self, host: str) -> Path:
        return self.directory / f"{host}{SUFFIX}"

    def _other_names(self, host: str) -> list[str]:
        names = (path.name[: -len(SUFFIX)] for path in self.directory.glob(f"*{SUFFIX}"))
        return sorted(name for name in names if name not in ("", host) and not name.startswith("."))

    def _read(self, name: str, problems: list[JobstatsError]) -> Optional[State]:
        path = self._path(name)
        try:
            return decode(ownfiles.read(path, LARGEST), name, self.role, self.targets)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            problems.append(self._set_aside(path, error))
            return None

    def _set_aside(self, path: Path, error: Exception) -> JobstatsError:
        aside = path.with_name(path.name + ".corrupt")
        if not self.dry_run:
            try:
                path.replace(aside)
            except OSError:
                aside = path
        cause = f"cannot be used ({' '.join(str(error).split())[:200]})"
        return JobstatsError(
            str(path), cause, f"Nothing needs to be done: the agent starts as if new; it lies in {aside}."
        )
