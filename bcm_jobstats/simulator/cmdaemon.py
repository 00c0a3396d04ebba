"""CMDaemon of the simulated cluster: it takes commits and has the nodes follow them."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, Callable

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
from bcm_jobstats.simulator.following import Following
from bcm_jobstats.simulator.images import clone_tree, remove_tree
from bcm_jobstats.simulator.noderunner import NodeRunner
from bcm_jobstats.simulator.state import State, Store
from bcm_jobstats.simulator.switches import Switches

Task = Callable[[], None]


class CMDaemon:
    """The committed state, the log for tests, and the background work."""

    def __init__(self, directory: Path, profile: str, state: State, runner: NodeRunner, switches: Switches) -> None:
        self.directory = directory
        self.profile = profile
        self.switches = switches
        self.faults = Faults()
        self.events = Events()
        self.store = Store(directory / "cmd" / "state.json", state)
        self.nodes = Following(lambda: self.state, runner, self.events, switches, self.on_disk)
        self.log: list[dict[str, Any]] = []
        self._log_lock = Lock()
        self._settle_due = False
        self._background = ThreadPoolExecutor(1, thread_name_prefix="cmdaemon")

    @property
    def state(self) -> State:
        """What is committed now."""
        return self.store.state

    @property
    def head(self) -> str:
        """The name of the head node."""
        return next(name for name, device in self.state.table("device").items() if device.kind == "HeadNode")

    def on_disk(self, path: str) -> Path:
        """Where a path of the head node lies under the simulator's directory."""
        return self.directory / path.lstrip("/")

    def record(self, entry: dict[str, Any]) -> None:
        """Note something in the log that tests read."""
        with self._log_lock:
            self.log.append(entry)

    def commit(self, changes: list[Change]) -> list[Future[None]]:
        """Make the changes durable, or raise RefusedError. What follows runs in the background: its futures."""
        self._faults_before()
        with self.store.changing() as before:
            self.store.replace(applied(before, changes))
            self.record({"commit": sorted(f"{change.mode} {change.key}" for change in changes)})
            self.nodes.flag_restarts(before)
            tasks = [self.start(task) for task in self._image_work(changes)]
            if self.switches["services_follow"] == "commit" and not self._settle_due:
                self._settle_due = True
                self.start(self._settle)
        if self.faults.strike(DROP_AFTER_COMMIT):
            raise DroppedError
        return tasks

    def _settle(self) -> None:
        """The nodes follow all commits up to now: commits in a row are followed once."""
        self.nodes.pause()
        self._settle_due = False
        self.nodes.settle()

    def _faults_before(self) -> None:
        if self.faults.strike(DROP_BEFORE_COMMIT):
            raise DroppedError
        if self.faults.strike(HANG_COMMIT):
            self.faults.hang()
        refusal = self.faults.strike(REFUSE_COMMIT)
        if refusal:
            raise RefusedError([Problem(refusal.field, refusal.message)])

    def _image_work(self, changes: Iterable[Change]) -> list[Task]:
        """The trees of images that were cloned, or removed with their data (bcm-facts §6)."""
        tasks: list[Task] = []
        for change in changes:
            if change.mode == "softwareimage" and change.base is None and change.cloned_from:
                tasks.append(self._copier(change.cloned_from, change.key))
            elif change.mode == "softwareimage" and change.mine is None and change.delete_data and change.base:
                tasks.append(self._remover(str(change.base.values.get("path", ""))))
        return tasks

    def _copier(self, source: str, name: str) -> Task:
        def copy() -> None:
            paths = [str(self.state.table("softwareimage")[one].values.get("path", "")) for one in (source, name)]
            self.events.add([f"{self.head}: Started to copy: {paths[0]} -> {paths[1]}"])
            clone_tree(*(self.on_disk(path) for path in paths))
            self.events.add([f"{self.head}: Copied: {paths[0]} -> {paths[1]}"])

        return copy

    def _remover(self, path: str) -> Task:
        return lambda: remove_tree(self.on_disk(path), self.directory)

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
        self._background.submit(lambda: None).result()

    def close(self) -> None:
        """Stop all work and all nodes."""
        self.nodes.hurry()
        self.faults.end()
        self._background.shutdown(wait=True, cancel_futures=True)
        self.nodes.close()
