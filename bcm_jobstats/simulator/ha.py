"""Head nodes: which one is active, whose CMDaemon answers whom, and what a failover cuts off (bcm-facts §10).

The database is replicated, so there is one for both heads; no lag is played. A head's own files are its own. A
failover comes when it is ordered, by the admin plane or by `cmha makeactive`: never by itself, so that a test decides
when. Services of head nodes follow then (`runif`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Callable

ACTIVE, PASSIVE, BECOMEACTIVE, BECOMEPASSIVE = "ACTIVE", "PASSIVE", "BECOMEACTIVE", "BECOMEPASSIVE"
"""The states that are played of those that bcm-facts §10 lists."""

STATE_FILE = "var/spool/cmd/state"
"""Where a head of a pair keeps its state (bcm-facts §10)."""

CHANGING = frozenset(
    ("commit", "imageupdate", "grabimage", "updateprovisioners", "start", "stop", "restart", "reset", "pexec")
    + ("createcertificate", "createramdisk", "newrevision", "power", "reboot", "shutdown")
)
"""The commands of cmsh that the passive head refuses."""


class UnreachableError(Exception):
    """No CMDaemon answers: the head is down, or neither head is active."""


@dataclass(frozen=True, eq=False)
class Link:
    """A connection from a program on the head `here` to the CMDaemon of `head`."""

    here: str
    head: str
    lost: Callable[[], None] = field(repr=False)


class Heads:
    """The head nodes of one cluster by name, in order. Everything is thread-safe."""

    def __init__(self, roots: Mapping[str, Path], file: Path) -> None:
        """`roots` are the heads' file trees; `file` keeps which head is active over a restart of the simulator."""
        self.roots = dict(roots)
        self._file = file
        self._lock = RLock()
        self._links: list[Link] = []
        self.down: set[str] = set()
        self.active = _kept(file, list(self.roots))
        self.states = {name: ACTIVE if name == self.active else PASSIVE for name in self.roots}
        self._save()

    @property
    def is_pair(self) -> bool:
        """Whether there are two heads."""
        return len(self.roots) > 1

    @property
    def serving(self) -> bool:
        """Whether an active head answers now."""
        return self.states[self.active] == ACTIVE and self.active not in self.down

    def other(self, name: str = "") -> str:
        """The head that is not `name` (unless given: not the active one); "" when there is one head only."""
        return next((one for one in self.roots if one != (name or self.active)), "")

    def root(self, name: str = "") -> Path:
        """The file tree of a head, the active one unless named."""
        return self.roots[name or self.active]

    def connect(
        self, here: str = "", to: str = "", *, redirect: bool = True, lost: Callable[[], None] = lambda: None
    ) -> Link:
        """Connect from the head `here` to its own CMDaemon, or that of `to`; a passive one redirects to the active.

        Raises UnreachableError. `lost` is called when the connection is cut from this side.
        """
        with self._lock:
            here = here or self.active
            head = to or here
            if {here, head} & self.down or head not in self.roots:
                raise UnreachableError(head)
            if redirect and self.states[head] != ACTIVE:
                if not self.serving:
                    raise UnreachableError(self.active)
                head = self.active
            link = Link(here, head, lost)
            self._links.append(link)
            return link

    def alive(self, link: Link) -> bool:
        """Whether a connection was not cut."""
        return link in self._links

    def disconnect(self, link: Link) -> None:
        """The program at the other end is done."""
        with self._lock, suppress(ValueError):
            self._links.remove(link)

    def failover(self, to: str = "", *, crash: bool = False, held: bool = False) -> None:
        """Make the other head (or `to`) active; whoever was connected to the old one is cut off.

        With `crash` the old head goes down first. With `held` it stays half-way, no head being active, until the
        next failover. ValueError when that head cannot become active.
        """
        with self._lock:
            new, old = to or self.other(), self.active
            if not self.is_pair or new not in self.roots:
                raise ValueError(f"simulator: no head node to become active: {to or 'there is one only'}")
            if new in self.down:
                raise ValueError(f"simulator: head node {new} is down")
            if new == old and self.serving:
                return
            if crash:
                self.power(old, up=False)
            self._cut(lambda link: link.head == old)
            passive, active = (BECOMEPASSIVE, BECOMEACTIVE) if held else (PASSIVE, ACTIVE)
            self.states = {name: active if name == new else passive for name in self.roots}
            self.active = old if held else new
            self._save()

    def power(self, name: str, *, up: bool) -> None:
        """Switch a head on or off; a head that comes back is passive unless it is still the active one."""
        with self._lock:
            if name not in self.roots:
                raise ValueError(f"simulator: no head node {name}; there are {', '.join(self.roots)}")
            if up:
                self.down.discard(name)
            else:
                self.down.add(name)
                self._cut(lambda link: name in (link.here, link.head))
            self._save()

    def _cut(self, hit: Callable[[Link], bool]) -> None:
        cut = [link for link in self._links if hit(link)]
        self._links = [link for link in self._links if link not in cut]
        for link in cut:
            link.lost()

    def _save(self) -> None:
        """Every head that is up writes its state; a head that is down keeps the file as it was."""
        fresh = self._file.with_name(self._file.name + ".new")
        fresh.write_text(json.dumps({"active": self.active}), encoding="utf-8")
        fresh.replace(self._file)
        for name in self.roots if self.is_pair else ():
            if name not in self.down:
                file = self.roots[name] / STATE_FILE
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(self.states[name] + "\n", encoding="utf-8")


def kept_active(file: Path) -> str:
    """The active head that a file tells of; "" when it tells none."""
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["active"])
    except (OSError, ValueError, KeyError):
        return ""


def _kept(file: Path, names: list[str]) -> str:
    kept = kept_active(file)
    return kept if kept in names else names[0]
