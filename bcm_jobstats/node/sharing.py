"""One list of roles for all nodes, on shared storage beside the targets, so that BCM is asked once for all of them.

What it says is never enough to change anything (asking.BcmRoles): forging it, or losing it, changes no node.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Callable, NamedTuple, Optional, TypeVar

from bcm_jobstats.node.config import Config
from bcm_jobstats.node.devices import LARGEST, Devices
from bcm_jobstats.node.ports import StorageLost
from bcm_jobstats.node.tls import Run

T = TypeVar("T")
FOLDER = ".prometheus-targets.tmp"
"""Beside the targets; stack.targets and scripts/jobstats-target know it by the same name."""
FORMAT = 1
FRESH = 0.1
"""Of check_interval: how old a list may be that is gone by."""
STALE = 15.0
"""Seconds after which somebody who is asking for all is taken to be gone."""
PATIENCE, STEP = 3.0, 0.25
"""Seconds that are spent on waiting for another agent's list, and between two looks for it."""
MINE, THEIRS, NOBODYS = "mine", "theirs", "nobody's"
"""Whose it is to ask for all; nobody's where that cannot be settled."""


class Shared(NamedTuple):
    """`asked`: when BCM was asked, in seconds of the epoch. `roles` as in Devices, without what is there twice."""

    asked: float
    roles: Mapping[str, bool]


class Sharing:
    """The list of those who ask the same head nodes for the same role. Trouble with it is no error: there is none."""

    def __init__(self, config: Config, run: Run, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._config, self._run, self._clock, self._sleep = config, run, clock, sleep
        self._folder = config.targets.parent / FOLDER
        self._file = self._lock = self._folder

    def among(self, authority: str) -> None:
        """Share with agents of the same cluster only: clusters on one storage may well call their heads alike."""
        config = self._config
        same = json.dumps([config.heads, config.port, config.role.lower(), config.cluster, authority])
        name = hashlib.sha256(same.encode()).hexdigest()[:16]
        self._file, self._lock = self._folder / f"roles-{name}.json", self._folder / f"roles-{name}.lock"

    def read(self) -> Optional[Shared]:
        """The list when it is young enough to go by."""
        return self._try(self._fresh, None)

    def claim(self) -> str:
        """Be the one who asks for all: MINE, THEIRS or NOBODYS."""
        return self._try(self._claim, NOBODYS)

    def wait(self, until: float) -> Optional[Shared]:
        """What another one is asking for right now; None when it does not come before `until`, and within PATIENCE."""
        steps = int(min(until - self._clock(), PATIENCE) / STEP)
        for _ in range(steps):
            self._sleep(STEP)
            found = self.read()
            if found or not self._try(self._lock.exists, False):
                return found
        return None

    def publish(self, host: str, asked: float, devices: Devices) -> None:
        """Tell the others, and let go."""
        told = {"format": FORMAT, "asked": asked, "host": host}
        names = {key: [name for name, has in devices.roles.items() if has is value]
                 for key, value in (("with", True), ("without", False))}  # fmt: skip
        content = json.dumps({**told, **names}).encode()
        self._try(lambda: self._publish(host, content), None)

    def release(self) -> None:
        """Let go with nothing to tell."""
        self._try(self._release, None)

    def _try(self, function: Callable[[], T], otherwise: T) -> T:
        try:
            return self._run("shared list of roles", function)
        except (StorageLost, OSError, ValueError, RecursionError):
            return otherwise

    def _fresh(self) -> Optional[Shared]:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(self._file, flags), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return None
            found = _parsed(stream.read(LARGEST))
        age = self._clock() - found.asked
        return found if -1 < age < FRESH * self._config.check_interval else None

    def _claim(self) -> str:
        for _ in range(2):
            try:
                self._create(self._lock)
            except FileExistsError:
                if abs(self._clock() - self._lock.stat().st_mtime) < STALE:
                    return THEIRS
                self._lock.unlink()
            except FileNotFoundError:
                self._folder.mkdir(0o755)  # its parent is there when shared storage is
            else:
                return MINE
        return NOBODYS

    @staticmethod
    def _create(file: Path, content: bytes = b"") -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(file, flags, 0o644), "wb") as stream:
            stream.write(content)

    def _publish(self, host: str, content: bytes) -> None:
        new = self._file.with_suffix(f".{host}")
        try:
            with suppress(FileNotFoundError):
                new.unlink()
            self._create(new, content)
            new.replace(self._file)
        finally:
            self._release()

    def _release(self) -> None:
        with suppress(FileNotFoundError):
            self._lock.unlink()


def _parsed(content: bytes) -> Shared:
    """The list in a file; ValueError when it is none."""
    told = json.loads(content)
    sound = isinstance(told, dict) and told.get("format") == FORMAT and isinstance(told.get("asked"), (int, float))
    if not (sound and isinstance(told.get("with"), list) and isinstance(told.get("without"), list)):
        raise ValueError("not a list of roles")
    asked, having, lacking = told["asked"], told["with"], told["without"]
    roles = {name: True for name in having if isinstance(name, str)}
    roles.update((name, False) for name in lacking if isinstance(name, str))
    if len(roles) != len(having) + len(lacking):
        raise ValueError("a name is there twice")
    return Shared(float(asked), roles)
