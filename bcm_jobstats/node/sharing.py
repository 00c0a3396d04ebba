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

from bcm_jobstats.node.config import STAGING, Config
from bcm_jobstats.node.devices import Devices
from bcm_jobstats.node.heads import TOTAL
from bcm_jobstats.node.tls import Run

T = TypeVar("T")
FORMAT = 1
LARGEST = 1024 * 1024
"""Bytes of a list: 80,000 nodes with names such as dgx-00001. A larger one costs an agent more memory than it has."""
FRESH = 0.1
"""Of check_interval: how long a list is gone by."""
TWICE = 2.0
"""Times what BCM took to answer: how long a list of a slow head node is gone by at least, so that agents do not ask it
faster than it answers."""
SPARE = 10.0
"""Seconds above what asking all head nodes may take, after which somebody who is asking for all is taken to be gone."""
LATEST = 1e12
"""No time is later, in seconds of the epoch."""
PATIENCE, STEP = 3.0, 0.25
"""Seconds that are spent on waiting for another agent's list, and between two looks for it."""
MINE, THEIRS, NOBODYS = "mine", "theirs", "nobody's"
"""Whose it is to ask for all; nobody's where that cannot be settled."""


class Shared(NamedTuple):
    """`asked`: when BCM was asked, in seconds of the epoch, and `took`: how long until it had answered. `roles` as in
    Devices, without what is there twice."""

    asked: float
    took: float
    roles: Mapping[str, bool]


class Sharing:
    """The list of those who ask the same head nodes for the same role. Trouble with it is no error: there is none."""

    def __init__(self, config: Config, run: Run, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._config, self._run, self._clock, self._sleep = config, run, clock, sleep
        self._folder = config.targets.parent / STAGING
        self._file = self._lock = self._folder
        self._stale = len(config.heads) * TOTAL + SPARE

    def among(self, authority: str) -> None:
        """Share with agents of the same cluster only: clusters on one storage may well call their heads alike."""
        config = self._config
        same = json.dumps([config.heads, config.port, config.role.lower(), config.cluster, authority])
        name = hashlib.sha256(same.encode()).hexdigest()[:16]
        self._file, self._lock = self._folder / f"roles-{name}.json", self._folder / f"roles-{name}.lock"

    def read(self, share: float = FRESH) -> Optional[Shared]:
        """The list when it is young enough to go by: `share` of check_interval, or more where BCM is slow."""
        return self._try(lambda: self._young(share), None)

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
        """Tell the others what BCM was asked then and has answered now, and let go."""
        told = {"format": FORMAT, "asked": asked, "took": max(0.0, self._clock() - asked), "host": host}
        names = {key: [name for name, has in devices.roles.items() if has is value]
                 for key, value in (("with", True), ("without", False))}  # fmt: skip
        content = json.dumps({**told, **names}, separators=(",", ":")).encode()
        if len(content) > LARGEST:
            self.release()
        else:
            self._try(lambda: self._publish(host, content), None)

    def release(self) -> None:
        """Let go with nothing to tell."""
        self._try(self._release, None)

    def _try(self, function: Callable[[], T], otherwise: T) -> T:
        try:
            return self._run("shared list of roles", function)
        except Exception:  # whatever others wrote there keeps nobody from asking BCM
            return otherwise

    def _young(self, share: float) -> Optional[Shared]:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(self._file, flags), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return None
            content = stream.read(LARGEST + 1)
        if len(content) > LARGEST:
            return None
        found, interval = _parsed(content), self._config.check_interval
        age = self._clock() - found.asked - found.took
        return found if -1 < age < max(share * interval, min(TWICE * found.took, interval)) else None

    def _claim(self) -> str:
        for _ in range(2):
            try:
                self._create(self._lock)
            except FileExistsError:
                if abs(self._clock() - self._lock.stat().st_mtime) < self._stale:
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
    sound = isinstance(told, dict) and told.get("format") == FORMAT and _time(told.get("asked"), told.get("took"))
    if not (sound and isinstance(told.get("with"), list) and isinstance(told.get("without"), list)):
        raise ValueError("not a list of roles")
    having, lacking = told["with"], told["without"]
    roles = {name: True for name in having if isinstance(name, str)}
    roles.update((name, False) for name in lacking if isinstance(name, str))
    if len(roles) != len(having) + len(lacking):
        raise ValueError("a name is there twice")
    return Shared(float(told["asked"]), float(told["took"]), roles)


def _time(*values: object) -> bool:
    """Whether these are seconds; not all that JSON calls a number is."""
    return all(isinstance(value, (int, float)) and 0 <= value < LATEST for value in values)
