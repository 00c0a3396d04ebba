"""CMDaemon of the simulated cluster: the committed state, the nodes that follow it, and the admin plane's handles."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock
from typing import Any, Callable, Optional

from bcm_jobstats.simulator.commits import Change, Problem, RefusedError, applied
from bcm_jobstats.simulator.events import Events
from bcm_jobstats.simulator.faults import (
    DROP_AFTER_COMMIT,
    DROP_BEFORE_COMMIT,
    HANG_COMMIT,
    REFUSE_COMMIT,
    DroppedError,
    Faults,
)
from bcm_jobstats.simulator.images import clone_tree, remove_tree
from bcm_jobstats.simulator.noderunner import NodeRunner, Wish
from bcm_jobstats.simulator.services import wanted
from bcm_jobstats.simulator.state import State, Store
from bcm_jobstats.simulator.switches import Switches

RESTART = "restart-required"


class CMDaemon:
    """Takes commits, and has the nodes follow them in the background."""

    def __init__(self, directory: Path, profile: str, state: State, runner: NodeRunner, switches: Switches) -> None:
        self.directory = directory
        self.profile = profile
        self.switches = switches
        self.runner = runner
        self.faults = Faults()
        self.events = Events()
        self.store = Store(directory / "cmd" / "state.json", state)
        self.down: set[str] = set()
        self.restart_required: set[str] = set()
        self.log: list[dict[str, Any]] = []
        self._log_lock = Lock()
        self._wanted: dict[str, Mapping[str, Wish]] = {}
        self._closing = Event()
        self._background = ThreadPoolExecutor(1, thread_name_prefix="cmdaemon")

    @property
    def state(self) -> State:
        """What is committed now."""
        return self.store.state

    @property
    def head(self) -> str:
        """The name of the head node."""
        return next(name for name, device in self.state.table("device").items() if device.kind == "HeadNode")

    def record(self, entry: dict[str, Any]) -> None:
        """Note something in the log that tests read."""
        with self._log_lock:
            self.log.append(entry)

    def commit(self, changes: list[Change]) -> list[Future[None]]:
        """Make the changes durable, or raise RefusedError. What follows runs in the background: its futures."""
        if self.faults.strike(DROP_BEFORE_COMMIT):
            raise DroppedError
        if self.faults.strike(HANG_COMMIT):
            self.faults.hang()
        refusal = self.faults.strike(REFUSE_COMMIT)
        if refusal:
            raise RefusedError([Problem(refusal.field, refusal.message)])
        with self.store.changing() as before:
            self.store.replace(applied(before, changes))
            self.record({"commit": sorted(f"{change.mode} {change.key}" for change in changes)})
            self._flag_restarts(before)
            tasks = self._follow_up(changes)
        if self.faults.strike(DROP_AFTER_COMMIT):
            raise DroppedError
        return tasks

    def _flag_restarts(self, before: State) -> None:
        """Nodes whose category or image changed need a restart (bcm-facts §1.7)."""
        old, new = before.table("device"), self.state.table("device")
        if before.table("device") is not new:
            self.restart_required &= set(new)
        for name, device in new.items():
            known = old.get(name)
            if known is None or known is device:
                continue
            if any(known.values.get(field) != device.values.get(field) for field in ("category", "softwareimage")):
                self.restart_required.add(name)
        changed = {
            name
            for name, category in self.state.table("category").items()
            if name in before.table("category")
            and category.values.get("softwareimage") != before.table("category")[name].values.get("softwareimage")
        }
        if changed:
            self.restart_required |= {n for n, d in new.items() if d.values.get("category") in changed}

    def _follow_up(self, changes: Iterable[Change]) -> list[Future[None]]:
        tasks = []
        for change in changes:
            if change.mode == "softwareimage" and change.base is None and change.cloned_from:
                tasks.append(self.start(self._copier(change.cloned_from, change.key)))
            elif change.mode == "softwareimage" and change.mine is None and change.delete_data and change.base:
                tasks.append(self.start(self._remover(str(change.base.values.get("path", "")))))
        if self.switches["services_follow"] == "commit":
            self.start(self.settle)
        return tasks

    def _copier(self, source: str, name: str) -> Callable[[], None]:
        def copy() -> None:
            paths = [str(self.state.table("softwareimage")[one].values.get("path", "")) for one in (source, name)]
            self.events.add([f"{self.head}: Started to copy: {paths[0]} -> {paths[1]}"])
            clone_tree(*(self.on_disk(path) for path in paths))
            self.events.add([f"{self.head}: Copied: {paths[0]} -> {paths[1]}"])

        return copy

    def _remover(self, path: str) -> Callable[[], None]:
        return lambda: remove_tree(self.on_disk(path), self.directory)

    def on_disk(self, path: str) -> Path:
        """Where a path of the head node lies under the simulator's directory."""
        return self.directory / path.lstrip("/")

    def start(self, work: Callable[[], None]) -> Future[None]:
        """Have something done in the background, in order."""
        return self._background.submit(self._guarded, work)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # the daemon lives on, and a test finds the reason in the log
            self.record({"error": f"{type(error).__name__}: {error}"})
            raise

    def settle(self, nodes: Optional[Collection[str]] = None) -> None:
        """Have nodes (all unless named) that are up run what the state wants, after the delay that is set."""
        self._closing.wait(float(self.switches["settle_delay"]))
        state = self.state
        known = set(state.table("device"))
        now = wanted(state, known if nodes is None else known.intersection(nodes))
        kept = {} if nodes is None else self._wanted
        self._wanted = {name: wishes for name, wishes in {**kept, **now}.items() if name in known}
        up = {name: wishes for name, wishes in self._wanted.items() if name not in self.down}
        self.events.add(self.runner.settle(up))

    def provision(self) -> None:
        """Give every node the tree of its image, as at its first boot."""
        for path, members in self._by_image(self.state.table("device")).items():
            self.runner.update(members, self.on_disk(path), dry_run=False)

    def update(self, nodes: Collection[str], *, dry_run: bool) -> None:
        """Sync images to nodes (imageupdate), and let the nodes' services follow."""
        for path, members in self._by_image(node for node in nodes if node not in self.down).items():
            mode = "mode UPDATE, dry run = " + ("yes, no data changes!" if dry_run else "no")
            started = f"{self.head}: Provisioning started: sending {self.head}:{path} to"
            self.events.add(f"{started} {name}:/, {mode}" for name in members)
            self.runner.update(members, self.on_disk(path), dry_run=dry_run)
            self.events.add(f"{self.head}: Provisioning completed on node {name}" for name in members)
            if not dry_run:
                self.restart_required.difference_update(members)
        if not dry_run:
            self.settle(nodes)

    def _by_image(self, nodes: Iterable[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for node in nodes:
            image = self.image_of(node)
            if image:
                found.setdefault(str(self.state.table("softwareimage")[image].values.get("path", "")), []).append(node)
        return found

    def image_of(self, node: str) -> str:
        """The software image of a node: its own, else its category's (bcm-facts §6)."""
        values = self.state.table("device")[node].values
        category = self.state.table("category").get(str(values.get("category", "")))
        inherited = category.values.get("softwareimage", "") if category else ""
        return str(values.get("softwareimage") or inherited)

    def wait_idle(self) -> None:
        """Return when everything started so far is done."""
        self._background.submit(lambda: None).result()

    def set_node(self, name: str, *, up: bool) -> None:
        """Switch a node off or on; it comes back with what the state wants."""
        (self.down.discard if up else self.down.add)(name)
        if up:
            self.restart_required.discard(name)
        self.start(lambda: self.settle([name]))
        self.wait_idle()

    def node_status(self, name: str) -> str:
        """The state of a node as `list` and `status` print it."""
        return "[  DOWN  ]" if name in self.down else "[   UP   ]"

    def close(self) -> None:
        """Stop all work and all nodes."""
        self._closing.set()
        self.faults.end()
        self._background.shutdown(wait=True)
        self.runner.close()
