"""A node without BCM, systemd, shared storage and time of its own: fakes of node/ports.py and what breaks them.

test_fakes.py holds them to what the real ones do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Callable, Optional

from bcm_jobstats.node.agent import Agent
from bcm_jobstats.node.config import Config
from bcm_jobstats.node.messages import Messages
from bcm_jobstats.node.ports import NoFolder, NotListed, ServicesLost, StorageLost, Unknown
from bcm_jobstats.node.world import World

TARGETS = Path("/targets")
NEVER = Unknown("BCM", "does not answer", "Is it up?")


@dataclasses.dataclass
class FakeRoles:
    """BCM. `nodes`: host -> whether it has the role; `fault` is raised instead of any answer."""

    nodes: dict[str, bool]
    fault: Optional[Unknown] = None
    step: Callable[[str], None] = lambda what: None
    asked: int = 0
    told: Optional[bool] = None
    """The last answer."""

    def has(self, host: str, known: Optional[bool]) -> bool:
        """See Roles."""
        self.step("ask")
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        if host not in self.nodes:
            raise NotListed(f"node {host}", "BCM does not list it", "Is it a node of this cluster?")
        self.told = self.nodes[host]
        return self.told


@dataclasses.dataclass
class FakeServices:
    """systemd. `units`: service -> ActiveState; those in `broken` end as soon as they are started, those in `stuck`
    cannot be stopped."""

    units: dict[str, str]
    broken: set[str] = dataclasses.field(default_factory=set)
    stuck: set[str] = dataclasses.field(default_factory=set)
    lost: bool = False
    step: Callable[[str], None] = lambda what: None

    def states(self, names: Collection[str]) -> Mapping[str, str]:
        """See Services."""
        self._answer()
        return {name: self.units.get(name, "missing") for name in names}

    def start(self, names: Collection[str]) -> None:
        """See Services."""
        self._answer()
        for name in names:
            self.step(f"start {name}")
            if name in self.units:
                self.units[name] = "failed" if name in self.broken else "active"

    def stop(self, names: Collection[str]) -> None:
        """See Services."""
        self._answer()
        for name in names:
            self.step(f"stop {name}")
            if self.units.get(name) in ("active", "activating", "reloading") and name not in self.stuck:
                self.units[name] = "inactive"

    def _answer(self) -> None:
        if self.lost:
            raise ServicesLost("systemd", "does not answer", "systemctl is-system-running")


@dataclasses.dataclass
class FakeRegistry:
    """One targets directory; `lost` is why it cannot be used. In the place of `stuck` files there are folders."""

    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    lost: Optional[str] = None
    gone: bool = False
    stuck: set[str] = dataclasses.field(default_factory=set)
    step: Callable[[str], None] = lambda what: None

    def read(self, name: str) -> Optional[bytes]:
        """See Registry."""
        self._answer()
        return self.files.get(name)

    def put(self, name: str, content: bytes) -> bool:
        """See Registry."""
        self._answer()
        if self.files.get(name) == content:
            return False
        self._in_place(name)
        self.step(f"put {name}")
        self.files[name] = content
        return True

    def remove(self, name: str) -> bool:
        """See Registry."""
        self._answer()
        self._in_place(name)
        if name not in self.files:
            return False
        self.step(f"remove {name}")
        del self.files[name]
        return True

    def _answer(self) -> None:
        if self.lost is not None:
            raise StorageLost("/targets", self.lost, "Is it mounted?")
        if self.gone:
            raise NoFolder("/targets", "there is no such folder")

    def _in_place(self, name: str) -> None:
        if name in self.stuck:
            raise StorageLost("/targets", "has a folder in the place of the target file", "Remove that folder.")


class Clock:
    """Seconds since 1970; sleeping takes no time of ours."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        """See World."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """See World."""
        self.time += seconds


class Node:
    """A node and one agent at a time on it. `log` has the lines said, `steps` what was done to the world."""

    def __init__(self, root: Path, config: Optional[Config] = None, host: str = "node001") -> None:
        self.root = root
        self.config = (config or Config())._replace(root=root, targets=TARGETS, textfile=root / "agent.prom")
        self.host = host
        self.clock = Clock()
        self.log: list[str] = []
        self.steps: list[str] = []
        self.roles = FakeRoles({host: True}, step=self.step)
        self.services = FakeServices({one.service: "inactive" for one in self.config.exporters}, step=self.step)
        self.directories = {str(TARGETS): FakeRegistry(step=self.step)}
        self.uniform: Callable[[float, float], float] = lambda low, high: (low + high) / 2

    def step(self, what: str) -> None:
        """Something is done to the world now."""
        self.steps.append(what)

    def agent(self, dry_run: bool = False, former: Optional[Agent] = None) -> Agent:
        """An agent that was just started, or takes the place of a former one."""
        messages = Messages(lambda priority, line: self.log.append(line), dry_run)
        world = World(lambda: self.host, self.clock.now, self.clock.sleep, self.uniform)
        return Agent(
            self.config,
            self.roles,
            self.services,
            self._registry,
            messages,
            world=world,
            dry_run=dry_run,
            former=former,
        )

    @property
    def targets(self) -> FakeRegistry:
        """The configured directory."""
        return self.directories[str(TARGETS)]

    @property
    def running(self) -> set[str]:
        """The services that run."""
        return {name for name, state in self.services.units.items() if state == "active"}

    @property
    def states(self) -> Path:
        """The folder of the state file."""
        return self.root / "var/lib/bcm-role-monitor"

    def said(self) -> list[str]:
        """The lines since this was last asked."""
        said, self.log[:] = list(self.log), []
        return said

    def done(self) -> list[str]:
        """What was done to the world since this was last asked."""
        done, self.steps[:] = [step for step in self.steps if step != "ask"], []
        return done

    def _registry(self, directory: Path) -> FakeRegistry:
        return self.directories.setdefault(str(directory), FakeRegistry(step=self.step))
