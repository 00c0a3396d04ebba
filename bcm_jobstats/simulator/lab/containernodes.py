"""Nodes as systemd containers, booted from their software images: the NodeRunner of the lab."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from bcm_jobstats.simulator.excludelists import Rules
from bcm_jobstats.simulator.lab import machines
from bcm_jobstats.simulator.lab.container import Container, ContainerError
from bcm_jobstats.simulator.lab.controlgroups import ControlGroups
from bcm_jobstats.simulator.lab.disks import MountError
from bcm_jobstats.simulator.lab.systemd import ContainerSystemd
from bcm_jobstats.simulator.lab.trees import Trees
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
from bcm_jobstats.simulator.orphanguard import OrphanGuard
from bcm_jobstats.simulator.servicecare import ServiceCare
from bcm_jobstats.simulator.treesync import changed, sync_tree

_MOST_THREADS = 32
OWN = "/etc/machine-id"
"""What each simulated node makes for itself at boot, and would lose by an imageupdate: systemd cannot do without."""
_log = logging.getLogger(__name__)
T = TypeVar("T")


class _Node:
    """One node: its container, and CMDaemon's care for its services."""

    def __init__(self, name: str, container: Container, tell: Callable[[str], None]) -> None:
        self.name = name
        self.container = container
        self.systemd = ContainerSystemd(container)
        self.care = ServiceCare(name, self.systemd, tell)


class ContainerNodes:
    """A NodeRunner: the head node and all others are containers; see `container` and `trees`.

    Services are looked at every `repair_interval` seconds. Nothing survives `close`, or the death of this process
    (`orphanguard`), but mounts and empty control groups: `lab.sweep` removes those.
    """

    def __init__(
        self,
        head: SimulatedNode,
        nodes: Iterable[SimulatedNode],
        trees: Trees,
        *,
        shared: Path,
        repair_interval: float = 5.0,
        on_event: Callable[[str], None] | None = None,
        on_reboot: Callable[[str], None] | None = None,
    ) -> None:
        """`on_reboot` gets the name of a node that was told to boot anew by somebody on it: to be provisioned first."""
        self._trees = trees
        self._on_reboot = on_reboot or (lambda name: None)
        self._shared = shared
        self._tell = on_event or (lambda text: None)
        self._guard = OrphanGuard()
        self._groups = ControlGroups(trees.directory)
        self._devices = trees.disks / "dev"
        machines.make_devices(self._devices)
        self._head = head.name
        self._addresses: dict[str, str] = {}
        self._admitted = 0
        self._nodes: dict[str, _Node] = {}
        for node in (head, *nodes):
            self._admit(node)
        self._pool = ThreadPoolExecutor(_MOST_THREADS, "simulated-node")
        self._interval = repair_interval
        self._closing = threading.Event()
        self._monitor = threading.Thread(target=self._watch, name="simulated-cmdaemon-monitor", daemon=True)
        self._monitor.start()

    def _admit(self, node: SimulatedNode) -> None:
        number, self._admitted = self._admitted, self._admitted + 1
        self._addresses[node.name] = node.address
        machines.write_hosts(self._trees.directory, self._addresses, self._head)
        machine = machines.machine(self._trees.directory, node, number, self._shared, self._devices)
        if node.name in self._nodes:
            self._nodes[node.name].container.machine = machine
            return
        container = Container(machine, self._groups, self._trees.directory / "cmd", self._guard.environment)
        self._nodes[node.name] = _Node(node.name, container, self._tell)

    def add(self, node: SimulatedNode) -> None:
        """A node that was not there before, or has another address from its next boot on; see NodeRunner."""
        if self._addresses.get(node.name) != node.address:
            self._admit(node)

    def remove(self, node: str) -> None:
        """A node that is not in the cluster any more; see NodeRunner."""
        gone = self._nodes.pop(node, None)
        if gone is not None:
            with gone.care.lock:
                gone.care.forget()
                gone.container.kill()
            del self._addresses[node]
            machines.write_hosts(self._trees.directory, self._addresses, self._head)
            self._trees.remove_node(node)

    def boot(self, nodes: Collection[str], image: Path, install: Install = INSTALL) -> list[str]:
        """Provision nodes from `image` and start them, see NodeRunner; the head node's tree is its own."""
        done = self._each(nodes, lambda node: self._boot(node, image, install))
        return [name for name, up in done.items() if up]

    def boot_head(self) -> None:
        """Start the head node; ContainerError when it does not come up."""
        head = self._nodes[self._head]
        machines.furnish(self._trees.directory, head.name)
        head.container.boot()

    def _boot(self, node: _Node, image: Path, install: Install) -> bool:
        with node.care.lock:
            node.care.forget()
            node.container.halt()
            root = self._trees.node(node.name)
            try:
                self._install(node.name, image, install)
                machines.furnish(root, node.name)
                node.container.boot()
            except (ContainerError, MountError, OSError) as error:
                _log.exception("node %s did not boot", node.name)
                self._tell(f"{node.name}: did not boot: {str(error).splitlines()[0]}")
                return False
        return True

    def _install(self, name: str, image: Path, install: Install) -> None:
        """Make the tree of a node; an empty disk becomes a copy of the image's layer, which is fast."""
        if install.mode == FULL:
            self._trees.remove_node(name)
        whole = install.mode == FULL or not self._trees.laid(name)
        if not self._trees.lay_node(name, image) and (whole or install.mode == AUTO):
            rules, differing = install.full if whole else install.sync, self._trees.differing(name, image)
            sync_tree(image, self._trees.node(name), rules, differing=differing)

    def settle(self, wanted: Mapping[str, Mapping[str, Wish]]) -> list[str]:
        """Start and stop services so that `wanted` holds; see NodeRunner."""
        up = [name for name, node in self._nodes.items() if node.container.up]
        events = self._each(up, lambda node: node.care.settle(wanted.get(node.name, {})))
        return [event for node_events in events.values() for event in node_events]

    def states(self, node: str) -> dict[str, ServiceState]:
        """The state of every service looked after on `node`."""
        return self._nodes[node].care.states() if node in self._nodes else {}

    def act(self, action: str, node: str, service: str) -> bool:
        """Do start, stop, restart or reset; see NodeRunner."""
        return node in self._nodes and self._nodes[node].care.act(action, service)

    def update(self, nodes: Collection[str], image: Path, *, dry_run: bool, rules: Rules = UPDATE) -> dict[str, Synced]:
        """Sync `image` to running nodes; see NodeRunner."""
        return self._each(nodes, lambda node: self._update(node, image, rules, dry_run=dry_run))

    def _update(self, node: _Node, image: Path, rules: Rules, *, dry_run: bool) -> Synced:
        with node.care.lock:
            root = self._trees.node(node.name)
            differing = self._trees.differing(node.name, image)
            try:
                lines = sync_tree(image, root, rules.sparing(OWN), dry_run=dry_run, differing=differing)
            except OSError as error:
                return Synced(error=str(error))
            if changed(lines) and not dry_run:
                node.systemd.reload()
                node.care.check()
        return Synced(tuple(lines))

    def shell(self, node: str, line: str, seconds: float) -> str | None:
        """Run a shell line as root on a node; what it printed, None when the node is off."""
        try:
            return (
                self._nodes[node]
                .container.run("timeout", "--signal=KILL", f"{seconds:g}", "sh", "-c", f"cd; {line}")
                .stdout
            )
        except (KeyError, ContainerError):
            return None

    def lose_power(self, node: str) -> None:
        """See NodeRunner."""
        if node in self._nodes:
            self._nodes[node].care.forget()
            self._nodes[node].container.kill()

    def ended(self) -> list[str]:
        """See NodeRunner: a container ends with its systemd, as after ``poweroff`` or ``reboot`` on the node."""
        return [name for name in list(self._nodes) if name != self._head and not self._nodes[name].container.up]

    def close(self) -> None:
        """End every container, and unmount the trees; the disks stay. May be called again."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._monitor.join()
        self._each(self._nodes, lambda node: node.container.kill())
        self._pool.shutdown()
        self._groups.remove()
        self._guard.close()
        self._trees.unmount()

    def _each(self, names: Collection[str], work: Callable[[_Node], T]) -> dict[str, T]:
        """`work` on the named nodes at the same time; the results in order."""
        futures = {name: self._pool.submit(work, self._nodes[name]) for name in list(self._nodes) if name in names}
        return {name: future.result() for name, future in futures.items()}

    def _watch(self) -> None:
        while not self._closing.wait(self._interval):
            self._each([name for name in list(self._nodes) if self._nodes[name].container.up], self._check)

            for name, node in list(self._nodes.items()):
                if node.container.rebooting:
                    self.lose_power(name)  # what is left of it, and its rebooting is told once
                    self._on_reboot(name)

    @staticmethod
    def _check(node: _Node) -> None:
        """At all nodes at the same time: a start of what systemd itself is about to restart waits for that."""
        try:
            node.care.check()
        except Exception:  # it may have lost power meanwhile; the next look tells more
            _log.exception("the check of node %s failed", node.name)
