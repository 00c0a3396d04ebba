"""The nodes behind CMDaemon: which are up, what they should run, and their syncs with software images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from threading import Event
from typing import Callable, Optional, Protocol

from bcm_jobstats.simulator.configurations import Configurations, Trees
from bcm_jobstats.simulator.events import Events
from bcm_jobstats.simulator.faults import Faults
from bcm_jobstats.simulator.ha import Heads
from bcm_jobstats.simulator.noderunner import NodeRunner, ServiceState, SimulatedNode, Wish
from bcm_jobstats.simulator.provisioners import Provisioners
from bcm_jobstats.simulator.provisioning import Provisioning
from bcm_jobstats.simulator.services import on_head, wanted
from bcm_jobstats.simulator.state import State
from bcm_jobstats.simulator.switches import Switches

Hardware = Callable[[str, str], Optional[SimulatedNode]]
"""A name and an address -> the node to run."""


class WorkloadManager(Protocol):
    """The workload manager behind the roles for it, where it is real."""

    def follow(self, state: State, runner: NodeRunner) -> list[tuple[str, str]]:
        """Write its files, before services start; the running services (node, name) that have to be restarted."""


class Following:
    """Makes the nodes follow the state. Its methods that change nodes run one at a time, in the background."""

    def __init__(
        self,
        state: Callable[[], State],
        runner: NodeRunner,
        events: Events,
        switches: Switches,
        provisioners: Provisioners,
        *,
        trees: Trees = lambda node: None,
        hardware: Hardware = lambda node, address: None,
        wlm: Optional[WorkloadManager] = None,
        faults: Optional[Faults] = None,
        booted: Callable[[Collection[str]], None] = lambda nodes: None,
        heads: Optional[Heads] = None,
    ) -> None:
        """`hardware` makes a node that was added to the cluster; None where nodes on paper need none.

        `booted` is told of nodes that were just provisioned, by an install mode that may have been for one boot.
        `heads` tells which head is active: services of head nodes go by it.
        """
        self._state = state
        self.runner = runner
        self._events = events
        self._switches = switches
        self._hardware = hardware
        self._wlm = wlm
        self.files = Configurations(trees, switches)
        self._closing = Event()
        self._booted = booted
        self._heads = heads
        self.provisioning = Provisioning(
            state, runner, events, switches, provisioners, faults=faults or Faults(), pause=self._wait
        )
        self._wanted: dict[str, Mapping[str, Wish]] = {}
        self.off: set[str] = set()  # as far as CMDaemon or the admin plane switched them off
        self.shown: dict[str, tuple[str, str]] = {}  # node -> a state and remarks that only `status` shows
        self.restart_required: set[str] = set()

    @property
    def down(self) -> set[str]:
        """The nodes that are off now, also those that went off by themselves."""
        return self.off.union(self.runner.ended())

    def pause(self) -> None:
        """The time that passes between a commit and its effect, by the switch."""
        self._wait("settle_delay")

    def _wait(self, switch: str) -> None:
        self._closing.wait(float(self._switches[switch]))

    def copy_pause(self) -> None:
        """The time that the copy of an image takes, by the switch."""
        self._wait("clone_delay")

    def settle(self, nodes: Optional[Collection[str]] = None) -> None:
        """Have nodes (all unless named) that are up run what the state wants."""
        state = self._state()
        known = set(state.table("device"))
        services_on = self._switches["role_services"] == "on"
        now = wanted(state, known if nodes is None else known.intersection(nodes), on=services_on)
        now = {name: self._on_head(name, wishes) for name, wishes in now.items()}
        kept = {} if nodes is None else self._wanted
        self._wanted = {name: wishes for name, wishes in {**kept, **now}.items() if name in known}
        down = self.down
        up = {name: wishes for name, wishes in self._wanted.items() if name not in down}
        restarts = self.files.follow(state, [name for name in now if name not in down])
        running = [(node, name) for node, name in restarts if self.runner.states(node).get(name) is ServiceState.UP]
        running += self._wlm.follow(state, self.runner) if self._wlm else []
        self._events.add(self.runner.settle(up))
        for node, service in running:
            self.runner.act("restart", node, service)

    def _on_head(self, name: str, wishes: Mapping[str, Wish]) -> Mapping[str, Wish]:
        heads = self._heads
        if heads is None or not heads.is_pair or name not in heads.roots:
            return wishes
        other = heads.other()
        return on_head(wishes, name, heads.active, "" if other in heads.down else other)

    def admit(self, before: State) -> None:
        """Nodes that were added to the cluster are there, and off until somebody switches them on; others are gone."""
        known, now = before.table("device"), self._state().table("device")
        for name in known.keys() - now.keys():
            self.runner.remove(name)
            self.off.discard(name)
        for name, device in now.items():
            if name in known and known[name].values.get("ip") == device.values.get("ip"):
                continue
            node = self._hardware(name, str(device.values.get("ip", "")))
            if node is not None and device.kind == "PhysicalNode":
                self.runner.add(node)
                self.off.update({name} - known.keys())

    def boot(self, nodes: Iterable[str]) -> None:
        """Switch nodes on (again): each is provisioned from its image."""
        wanted = [name for name in nodes if self._state().table("device")[name].kind == "PhysicalNode"]
        up = self.provisioning.boot(wanted)
        self.off.difference_update(up)
        self.off.update(set(wanted).difference(up))
        self.restart_required.difference_update(up)
        self._booted(up)

    def update(self, nodes: Collection[str], head: str, *, dry_run: bool) -> None:
        """Sync images to nodes (imageupdate); their services follow."""
        done = self.provisioning.update(nodes, head, dry_run=dry_run, down=self.down)
        if not dry_run:
            if self._switches["imageupdate_clears_restart"] == "yes":
                self.restart_required.difference_update(done)
            self.settle(nodes)

    def image_of(self, node: str) -> str:
        """The software image of a node: its own, else its category's (bcm-facts §6)."""
        return self.provisioning.image_of(node)

    def switch_on(self, nodes: Collection[str]) -> None:
        """Switch nodes on, or on again; a boot gives them the tree of their image and what the state wants."""
        self.boot(nodes)
        self.settle(nodes)

    def switch_off(self, nodes: Collection[str]) -> None:
        """Nodes lose power as they stand."""
        self.off.update(nodes)
        for name in nodes:
            self.runner.lose_power(name)
        self.settle(nodes)

    def shut_down(self, nodes: Collection[str]) -> None:
        """Nodes stop what CMDaemon looks after, and go off: of a node that is down nothing is wanted."""
        self.off.update(nodes)
        self.settle(nodes)
        for name in nodes:
            self.runner.lose_power(name)

    def flag_restarts(self, before: State) -> None:
        """Nodes whose category or image is another one than before need a restart (bcm-facts §1.7)."""
        devices, categories = self._state().table("device"), self._state().table("category")
        old_devices, old_categories = before.table("device"), before.table("category")
        changed = {
            name
            for name, category in categories.items()
            if name in old_categories
            and category.values.get("softwareimage") != old_categories[name].values.get("softwareimage")
        }
        self.restart_required.intersection_update(devices)
        for name, device in devices.items():
            known = old_devices.get(name)
            if known is None or (known is device and not changed):
                continue
            moved = any(known.values.get(field) != device.values.get(field) for field in ("category", "softwareimage"))
            if moved or device.values.get("category") in changed:
                self.restart_required.add(name)

    def status(self, name: str) -> str:
        """The state of a node as `list` and `status` print it."""
        state = self.shown.get(name, ("", ""))[0] or ("DOWN" if name in self.down else "UP")
        return f"[{state:^8}]"

    def service_states(self, node: str) -> dict[str, ServiceState]:
        """The services of a node; a node that is down tells nothing."""
        return {} if node in self.down else self.runner.states(node)

    def act(self, action: str, node: str, service: str) -> bool:
        """Start, stop, restart or reset a service; False when that failed or the node is down."""
        return node not in self.down and self.runner.act(action, node, service)

    def close(self) -> None:
        """Stop the nodes."""
        self.runner.close()

    def hurry(self) -> None:
        """Wait for no delay any more: the daemon ends."""
        self._closing.set()
