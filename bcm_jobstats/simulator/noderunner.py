"""What the simulated CMDaemon can do on its nodes; the port between the daemon and the kinds of node."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from bcm_jobstats.simulator.excludelists import DEFAULTS, STATIC_MOUNTS, Rules, rules


class ServiceState(str, Enum):
    """States of a managed service (bcm-facts §3.3)."""

    UP = "UP"
    DOWN = "DOWN"
    STOPPED = "STOPPED"
    FAILING = "FAILING"


@dataclass(frozen=True)
class Wish:
    """How CMDaemon looks after one service on one node (bcm-facts §3.3)."""

    monitored: bool = True
    autostart: bool = True
    run_if: str = "always"
    """On which head of a pair: active, passive, always or preferpassive; it counts on head nodes alone."""


@dataclass(frozen=True)
class SimulatedNode:
    """A node as the daemon knows it: its name, its loopback address and its file tree (None on paper nodes)."""

    name: str
    address: str
    root: Path | None = None


AUTO, FULL = "AUTO", "FULL"
"""The install modes that bring files; with NOSYNC, MAIN and SKIP a boot brings none here (bcm-facts §6)."""


_SYNC = rules("sync", DEFAULTS["excludelistsyncinstall"]).sparing(*STATIC_MOUNTS)
_FULL = rules("full", DEFAULTS["excludelistfullinstall"]).sparing(*STATIC_MOUNTS)
UPDATE = rules("update", DEFAULTS["excludelistupdate"]).sparing(*STATIC_MOUNTS)
"""The default list of an imageupdate, with what every node has mounted."""


@dataclass(frozen=True)
class Install:
    """How a boot provisions a node: its install mode, and the exclude lists of a sync and of a whole installation.

    A node whose disk is empty gets a whole installation in any mode: a category's newNodeInstallMode (source TF).
    """

    mode: str = AUTO
    sync: Rules = _SYNC
    full: Rules = _FULL


INSTALL = Install()
"""An install mode AUTO with the default lists."""


@dataclass(frozen=True)
class Synced:
    """One sync of a node: rsync's itemized lines, and why it failed if it did."""

    lines: tuple[str, ...] = ()
    error: str = ""


class NodeRunner(Protocol):
    """The nodes of one simulated cluster. All calls are thread-safe and return when the work is done."""

    def settle(self, wanted: Mapping[str, Mapping[str, Wish]]) -> list[str]:
        """Make every node run just the services of `wanted` (node -> service -> wish); missing nodes run none.

        A service that is new is started when its wish has autostart; one that is gone is stopped when its wish
        had autostart, else left running and forgotten (bcm-facts §3.3). Returns event texts such as
        ``node001: Service cups was started``.
        """

    def states(self, node: str) -> dict[str, ServiceState]:
        """The state of every service CMDaemon looks after on `node`."""

    def act(self, action: str, node: str, service: str) -> bool:
        """Do `action` (start, stop, restart, reset) as cmsh would; False when it failed or the service is unknown."""

    def add(self, node: SimulatedNode) -> None:
        """A node that was not there before, which is off until `boot`; or one with another address from then on."""

    def remove(self, node: str) -> None:
        """A node that is not in the cluster any more: it is off, and its disk is gone."""

    def boot(self, nodes: Collection[str], image: Path, install: Install = INSTALL) -> list[str]:
        """Switch nodes on, or on again: each gets the tree of `image` as `install` says, then boots.

        What the image does not have is gone then, but for what the exclude list names (bcm-facts §6). Returns the
        nodes that came up, running nothing yet.
        """

    def shell(self, node: str, line: str, seconds: float) -> str | None:
        """Run a shell line as root on a node; what it printed. None where this kind of node cannot, or in time."""

    def lose_power(self, node: str) -> None:
        """The node dies as it stands: its services end without being stopped, and nobody looks after them."""

    def ended(self) -> Collection[str]:
        """The nodes that are off, whoever switched them off: for those that did it themselves."""

    def update(self, nodes: Collection[str], image: Path, *, dry_run: bool, rules: Rules = UPDATE) -> dict[str, Synced]:
        """Sync `image` to each node's tree, deletions included (imageupdate); node -> what came of it."""

    def close(self) -> None:
        """Stop every process this runner started and wait for it."""
