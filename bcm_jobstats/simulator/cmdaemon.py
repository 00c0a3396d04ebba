"""CMDaemon of the simulated cluster: it takes commits and has the nodes follow them."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, Callable, Optional

from bcm_jobstats.simulator import images, storage
from bcm_jobstats.simulator.commits import Change, Problem, RefusedError, applied
from bcm_jobstats.simulator.events import Events
from bcm_jobstats.simulator.faults import (
    DROP_AFTER_COMMIT,
    DROP_BEFORE_COMMIT,
    FAILOVER_AT_COMMIT,
    HANG_COMMIT,
    REFUSE_COMMIT,
    DroppedError,
    Faults,
)
from bcm_jobstats.simulator.following import Following, Hardware, WorkloadManager
from bcm_jobstats.simulator.ha import Heads, Link
from bcm_jobstats.simulator.noderunner import NodeRunner
from bcm_jobstats.simulator.provisioners import Provisioners
from bcm_jobstats.simulator.replay import NOTHING
from bcm_jobstats.simulator.state import State, Store
from bcm_jobstats.simulator.switches import Switches

Task = Callable[[], None]
NEXT_MODE = "nextinstallmode"


class CMDaemon:
    """The committed state, the log for tests, and the background work."""

    def __init__(
        self,
        directory: Path,
        profile: str,
        state: State,
        runner: NodeRunner,
        switches: Switches,
        *,
        ha: Optional[Heads] = None,
        hardware: Hardware = lambda node, address: None,
        image_store: Optional[images.ImageStore] = None,
        wlm: Optional[WorkloadManager] = None,
    ) -> None:
        """Without `ha` there is one head node, whose file tree is `directory`."""
        self.directory = directory
        self.ha = ha or Heads({_head_of(state): directory}, directory / "cmd" / "ha.json")
        self.profile = profile
        self.switches = switches
        self.transcript = NOTHING
        self.faults = Faults()
        self.events = Events()
        self.store = Store(directory / "cmd" / "state.json", state)
        spare = directory / "cmd" / "provisioner"
        self.provisioners = Provisioners(self.ha, lambda: self._image_paths().values(), switches, self.events, spare)
        self.nodes = Following(
            lambda: self.state, runner, self.events, switches, self.provisioners,
            trees=self.tree, hardware=hardware, wlm=wlm, faults=self.faults, booted=self._booted,
            heads=self.ha,
        )  # fmt: skip
        store = image_store or images.PlainImages()
        self.images = images.Disk(self.ha, self.events, store, self.faults, self.nodes.copy_pause)
        self._storage = storage.place(directory, self.ha, switches["shared_storage"])
        storage.mount(self.ha, self._storage, switches["shared_storage"])
        self.provisioners.begin()
        self.log: list[dict[str, Any]] = []
        self.watchers: list[Callable[[list[Change]], None]] = []  # told of every commit
        self._log_lock = Lock()
        self._settle_due = False
        self._background = ThreadPoolExecutor(1, thread_name_prefix="cmdaemon")
        self._copies = ThreadPoolExecutor(1, thread_name_prefix="image-copies")

    @property
    def state(self) -> State:
        """What is committed now."""
        return self.store.resolving(self.switches["equal_priority"])

    @property
    def head(self) -> str:
        """The name of the active head node."""
        return self.ha.active

    def on_disk(self, path: str) -> Path:
        """Where a path of the active head node lies under the simulator's directory."""
        return self.ha.root() / path.lstrip("/")

    def tree(self, node: str) -> Optional[Path]:
        """The file tree of a node or head; None for a node on paper."""
        tree = self.ha.roots.get(node, self.directory / "nodes" / node)
        return tree if tree.is_dir() else None

    def _image_paths(self) -> dict[str, str]:
        table = self.state.table("softwareimage")
        return {name: str(image.values.get("path", "")) for name, image in table.items()}

    def _booted(self, nodes: Collection[str]) -> None:
        """An install mode for the next boot was for that one: it is unset then (an assumption from its name)."""
        with self.store.changing() as before:
            tables = before.copy()
            done = [name for name in nodes if before.table("device")[name].values.get(NEXT_MODE)]
            for name in done:
                tables["device"][name] = before.table("device")[name].copy()
                del tables["device"][name].values[NEXT_MODE]
            if done:
                self.store.replace(tables)

    def record(self, entry: dict[str, Any]) -> None:
        """Note something in the log that tests read."""
        with self._log_lock:
            self.log.append(entry)

    def commit(self, changes: list[Change], link: Optional[Link] = None) -> list[Future[None]]:
        """Make the changes durable, or raise RefusedError. What follows runs in the background: its futures.

        From a session that was cut off meanwhile (`link`) nothing is taken any more.
        """
        self._faults_before()
        with self.store.changing() as before:
            if link is not None and not self.ha.alive(link):
                raise DroppedError
            self.store.replace(applied(before, changes))
            self.record({"commit": sorted(f"{change.mode} {change.key}" for change in changes)})
            self.nodes.flag_restarts(before)
            self.nodes.admit(before)
            copies = self.images.copies(changes, self._image_paths())
            tasks = [self._copies.submit(self._guarded, task) for task in copies]
            tasks += [self.start(task) for task in self.images.removals(changes)]
            for watcher in self.watchers:
                watcher(changes)
            if self.switches["services_follow"] == "commit" and not self._settle_due:
                self._settle_due = True
                self.start(self._settle)
        if self._failover_struck("after") or self.faults.strike(DROP_AFTER_COMMIT):
            raise DroppedError
        return tasks

    def failover(self, to: str = "", *, crash: bool = False, held: bool = False) -> None:
        """Make the other head active, between commits; see `Heads.failover`."""
        with self.store.changing():
            self.ha.failover(to, crash=crash, held=held)
            self._heads_changed()

    def power_head(self, name: str, *, up: bool) -> None:
        """Switch a head node on or off. When it was the active one, none is until a failover."""
        with self.store.changing():
            self.ha.power(name, up=up)
            self._heads_changed()

    def _heads_changed(self) -> None:
        storage.mount(self.ha, self._storage, self.switches["shared_storage"])
        self.nodes.off.difference_update(self.ha.roots)
        self.nodes.off.update(self.ha.down)
        for head in self.ha.down:
            self.nodes.runner.lose_power(head)
        self.start(lambda: self.nodes.settle(self.ha.roots))  # services of heads, some of which go with the active one

    def _failover_struck(self, when: str) -> bool:
        fault = self.faults.strike(FAILOVER_AT_COMMIT, when=when)
        if fault is not None:
            self.failover(crash=fault.crash)
        return fault is not None

    def _settle(self) -> None:
        """The nodes follow all commits up to now: commits in a row are followed once."""
        self.nodes.pause()
        self._settle_due = False
        self.nodes.settle()

    def _faults_before(self) -> None:
        if self._failover_struck("before") or self.faults.strike(DROP_BEFORE_COMMIT):
            raise DroppedError
        if self.faults.strike(HANG_COMMIT):
            self.faults.hang()
        refusal = self.faults.strike(REFUSE_COMMIT)
        if refusal:
            raise RefusedError([Problem(refusal.field, refusal.message)])

    def start(self, work: Task) -> Future[None]:
        """Have something done in the background, in order."""
        return self._background.submit(self._guarded, work)

    def _guarded(self, work: Task) -> None:
        try:
            work()
        except Exception as error:  # the daemon lives on, and a test finds the reason in the log
            self.record({"error": f"{type(error).__name__}: {error}"})
            raise

    def wait_idle(self) -> None:
        """Return when everything started so far is done."""
        for pool in (self._copies, self._background):
            pool.submit(lambda: None).result()

    def close(self) -> None:
        """Stop all work and all nodes."""
        self.nodes.hurry()
        self.faults.end()
        for pool in (self._copies, self._background):
            pool.shutdown(wait=True, cancel_futures=True)
        self.nodes.close()


def _head_of(state: State) -> str:
    return next(name for name, device in state.table("device").items() if device.kind == "HeadNode")
