"""Nodes as directory trees whose services are real processes of this machine, without root and without namespaces."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from bcm_jobstats.simulator.excludelists import Rules
from bcm_jobstats.simulator.noderunner import (
    AUTO,
    FULL,
    INSTALL,
    UPDATE,
    Install,
    ServiceState,
    SimulatedNode,
    Synced,
    Wish,
)
from bcm_jobstats.simulator.nodespace import NodeSpace
from bcm_jobstats.simulator.nodesystemd import NodeSystemd
from bcm_jobstats.simulator.orphanguard import OrphanGuard
from bcm_jobstats.simulator.servicecare import ServiceCare
from bcm_jobstats.simulator.treesync import sync_tree

_MOST_THREADS = 16  # starting a process costs CPU, not waiting: more would not help
_log = logging.getLogger(__name__)
T = TypeVar("T")


class _Node:
    """One node: its tree, its service manager and CMDaemon's care for it."""

    def __init__(
        self, node: SimulatedNode, shared: Path, mark: Mapping[str, str], tell: Callable[[str], None], *, is_head: bool
    ) -> None:
        self.root = _tree(node)
        self._shared = shared.resolve()
        self.name = node.name
        self._systemd = NodeSystemd(NodeSpace(node.name, node.address, self.root), mark)
        self.care = ServiceCare(node.name, self._systemd, tell)
        self.pending: Future[None] | None = None
        self._empty = not self.root.is_dir() or not any(self.root.iterdir())
        if not is_head:  # a head's tree is made by `headtree`
            self.furnish()

    def furnish(self) -> None:
        """Make what a node has of its own: its host name and the mount of the shared storage."""
        mount = self.root / "cm/shared"
        mount.parent.mkdir(parents=True, exist_ok=True)
        if mount.is_dir() and not mount.is_symlink():
            mount.rmdir()
        if not mount.is_symlink():
            mount.symlink_to(self._shared)
        hostname = self.root / "etc/hostname"
        if not hostname.exists():
            hostname.parent.mkdir(exist_ok=True)
            hostname.write_text(f"{self.name}\n", encoding="utf-8")

    def boot(self, image: Path, install: Install) -> str:
        """What ran is gone, and the tree becomes that of `image`; why it did not, or an empty text."""
        self.lose_power()
        with self.care.lock:
            try:
                self._install(image, install)
                self.furnish()
            except OSError as error:
                return str(error)
        return ""

    def _install(self, image: Path, install: Install) -> None:
        whole = self._empty or install.mode == FULL
        if whole and not self._empty:
            for path in self.root.iterdir():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if whole or install.mode == AUTO:
            sync_tree(image, self.root, install.full if whole else install.sync)
        self._empty = False

    def update(self, image: Path, rules: Rules, *, dry_run: bool) -> Synced:
        """Sync `image`; then the units are read again and what lacked its unit is tried at once."""
        with self.care.lock:
            try:
                lines = sync_tree(image, self.root, rules, dry_run=dry_run)
            except OSError as error:
                return Synced(error=str(error))
            if not dry_run:
                self.furnish()
                self._systemd.reload()
                self.care.check()
        return Synced(tuple(lines))

    def pid(self, service: str) -> int | None:
        return self._systemd.pid(service)

    def lose_power(self) -> None:
        with self.care.lock:
            self.care.forget()
            self._systemd.lose_power()

    def close(self) -> None:
        with self.care.lock:
            self.care.forget()  # so that a check still under way starts nothing
            self._systemd.stop_all()


def _tree(node: SimulatedNode) -> Path:
    if node.root is None:
        raise ValueError(f"process node {node.name} has no file tree")
    return node.root.resolve()


class ProcessNodes:
    """A NodeRunner: each node is a copy of its image with `shared` at cm/shared, its services child processes. Of head
    nodes, whose trees are made elsewhere and never provisioned, only the services are its business.

    User=, sandboxing and limits of units are not applied, and a node has no namespace of its own: paths and wildcard
    listen addresses are mapped as `nodespace` says, host names and ports of other nodes are not. Every
    `repair_interval` seconds services with autostart that died are started again; `on_event` gets the event texts of
    that (from other threads). Nothing survives `close` or the death of this process (`orphanguard`). Asking for a
    node that is not here gives no states, and no act on it succeeds.
    """

    def __init__(
        self,
        nodes: Sequence[SimulatedNode],
        *,
        heads: Sequence[SimulatedNode] = (),
        shared: Path,
        repair_interval: float = 1.0,
        on_event: Callable[[str], None] | None = None,
    ) -> None:
        for node in (*heads, *nodes):
            _tree(node)  # refuse a paper node before anything is started
        self._guard = OrphanGuard()
        self._shared = shared
        self._tell = on_event or (lambda text: None)
        self._nodes: dict[str, _Node] = {}
        for node in heads:
            self._admit(node, is_head=True)
        for node in nodes:
            self.add(node)
        self._pool = ThreadPoolExecutor(max(2, min(len(nodes) + 1, _MOST_THREADS)), "simulated-node")
        self._interval = repair_interval
        self._closing = threading.Event()
        self._monitor = threading.Thread(target=self._watch, name="simulated-cmdaemon-monitor", daemon=True)
        self._monitor.start()

    def add(self, node: SimulatedNode) -> None:
        """A node that was not there before; see NodeRunner. One that is there keeps its address of loopback."""
        if node.name not in self._nodes:
            self._admit(node, is_head=False)

    def _admit(self, node: SimulatedNode, *, is_head: bool) -> None:
        self._nodes[node.name] = _Node(node, self._shared, self._guard.environment, self._tell, is_head=is_head)

    def remove(self, node: str) -> None:
        """A node that is not in the cluster any more; see NodeRunner."""
        gone = self._nodes.pop(node, None)
        if gone is not None:
            gone.close()
            shutil.rmtree(gone.root)

    def boot(self, nodes: Collection[str], image: Path, install: Install = INSTALL) -> list[str]:
        """Provision nodes from `image`, see NodeRunner."""
        done = self._each([name for name in self._nodes if name in nodes], lambda node: node.boot(image, install))
        for name, error in done.items():
            if error:
                self._tell(f"{name}: did not boot: {error}")
        return [name for name, error in done.items() if not error]

    def shell(self, node: str, line: str, seconds: float) -> str | None:
        """A process node has no shell of its own: see `cmd_pexec`."""

    def settle(self, wanted: Mapping[str, Mapping[str, Wish]]) -> list[str]:
        """Start and stop services so that `wanted` holds; see NodeRunner."""
        events = self._each(self._nodes, lambda node: node.care.settle(wanted.get(node.name, {})))
        return [event for node_events in events.values() for event in node_events]

    def states(self, node: str) -> dict[str, ServiceState]:
        """The state of every service looked after on `node`."""
        return self._nodes[node].care.states() if node in self._nodes else {}

    def act(self, action: str, node: str, service: str) -> bool:
        """Do start, stop, restart or reset; see NodeRunner."""
        return node in self._nodes and self._nodes[node].care.act(action, service)

    def update(self, nodes: Collection[str], image: Path, *, dry_run: bool, rules: Rules = UPDATE) -> dict[str, Synced]:
        """Sync `image` to the trees of `nodes`; running services go on, see NodeRunner."""
        known = [name for name in self._nodes if name in nodes]
        return self._each(known, lambda node: node.update(image, rules, dry_run=dry_run))

    def lose_power(self, node: str) -> None:
        """See NodeRunner."""
        if node in self._nodes:
            self._nodes[node].lose_power()

    def ended(self) -> Collection[str]:
        """A directory tree has no power."""
        return ()

    def pid(self, node: str, service: str) -> int | None:
        """The process of `service` on `node` while it runs: for a demonstration that kills it."""
        return self._nodes[node].pid(service) if node in self._nodes else None

    def close(self) -> None:
        """Stop every process of the nodes; what is left after the time allowed is killed. May be called again."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._monitor.join()
        self._each(self._nodes, lambda node: node.close())
        self._pool.shutdown()
        self._guard.close()

    def _each(self, names: Collection[str], work: Callable[[_Node], T]) -> dict[str, T]:
        """`work` on the named nodes at the same time; the results in order."""
        futures = {name: self._pool.submit(work, self._nodes[name]) for name in names}
        return {name: future.result() for name, future in futures.items()}

    def _watch(self) -> None:
        while not self._closing.wait(self._interval):
            for node in list(self._nodes.values()):
                if node.pending is not None:
                    if not node.pending.done():
                        continue
                    error = node.pending.exception()
                    if error is not None:
                        _log.error("the check of node %s failed", node.name, exc_info=error)
                node.pending = self._pool.submit(node.care.check)
