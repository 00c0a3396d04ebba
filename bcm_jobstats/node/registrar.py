"""Keeps this node's target files as the role says, and takes away those of its former name or directory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Optional

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.node.config import Config
from bcm_jobstats.node.messages import Messages
from bcm_jobstats.node.ports import NoFolder, Registry, StorageLost
from bcm_jobstats.node.registration import clusters, file_names, files
from bcm_jobstats.node.state import State

OWN_DIRECTORY = "Give each cluster a targets directory of its own; if that cluster is no more, remove the file."


class Registrar:
    """`present`: target file of this node -> whether it is there; one that cannot be told about is not in it.

    What may lie in a directory because of us is in the state, and saved, before it is written: however the agent ends,
    the next one knows what to take away. A file that has another cluster's label is not ours, whatever its name.
    """

    def __init__(
        self, config: Config, registry: Callable[[Path], Registry], messages: Messages, save: Callable[[], None]
    ) -> None:
        self.config, self.messages = config, messages
        self._open, self._save = registry, save
        self._registries: dict[str, Registry] = {}
        self._directory = str(config.targets)
        self._problems: dict[str, JobstatsError] = {}
        """Those of this round by what they are about, and so the ones to be over when they are not in the next."""
        self.present: dict[str, bool] = {}

    def keep(self, state: State, registered: bool) -> None:
        """Have this node's files there, or none. Files of former names go once the new ones are written, those in
        former directories last."""
        own = file_names(state.host, self.config.exporters)
        wanted = files(state.host, self.config.cluster, self.config.exporters) if registered else {}
        before, self._problems = self._problems, {}
        self.present = {}
        if self._write(state, wanted):
            left = {*state.registered.get(self._directory, ()), *own} - wanted.keys()
            removed = self._remove(state, self._directory, left, own)
            for former in [one for one in state.registered if one != self._directory]:
                removed = self._remove(state, former, set(state.registered[former]), own) and removed
            if removed:
                state.clusters = [self.config.cluster] if state.registered else []
        for about in before.keys() - self._problems.keys():
            self.messages.over(about)
        for about, error in self._problems.items():
            self.messages.problem(about, error)

    def _write(self, state: State, wanted: Mapping[str, bytes]) -> bool:
        """Every file for itself; whether all are there, or in the hands of another cluster."""
        if not wanted:
            return True
        known, labels = set(state.registered.get(self._directory, ())), {*state.clusters, self.config.cluster}
        if not wanted.keys() <= known or labels != set(state.clusters):
            state.record(self._directory, known | wanted.keys())
            state.clusters = sorted(labels)
            self._save()
        lost: Optional[StorageLost] = None
        for name, content in wanted.items():
            try:
                self._put(state, name, content)
            except StorageLost as error:
                lost = lost or error
        if lost is not None:
            self._problems[self._directory] = lost
        return lost is None

    def _put(self, state: State, name: str, content: bytes) -> None:
        registry = self._registry(self._directory)
        found = registry.read(name)
        if found != content and self._foreign(state, self._directory, name, found):
            self.present[name] = False
            return
        if found != content and registry.put(name, content):
            self.messages.change(f"wrote {self._directory}/{name}", f"write {self._directory}/{name}")
        self.present[name] = True

    def _remove(self, state: State, directory: str, names: Collection[str], own: Collection[str]) -> bool:
        """Every file for itself, those of the present name first; whether nothing of ours is left."""
        here = directory == self._directory
        left = set(state.registered.get(directory, ()))
        failed: dict[str, StorageLost] = {}
        for name in sorted(names, key=lambda name: (name not in own, name)):
            try:
                self._take(state, directory, name)
                left.discard(name)
                if here and name in own:
                    self.present[name] = False
            except NoFolder as error:
                if here:
                    failed[name] = error
                else:
                    left.discard(name)
            except StorageLost as error:
                failed[name] = error
        if failed:
            self._tell(directory, failed, everything=len(failed) == len(names) and not (here and self.present))
        state.record(directory, left)
        return not failed

    def _take(self, state: State, directory: str, name: str) -> None:
        registry = self._registry(directory)
        if not self._foreign(state, directory, name, registry.read(name)) and registry.remove(name):
            self.messages.change(f"removed {directory}/{name}", f"remove {directory}/{name}")

    def _tell(self, directory: str, failed: Mapping[str, StorageLost], everything: bool) -> None:
        first = next(iter(failed.values()))
        if everything:
            self._problems[directory] = first
        else:
            about = f"{directory}/{', '.join(failed)}"
            self._problems[f"{directory}/"] = StorageLost(about, f"cannot be removed: {first.cause}", first.remedy)

    def _foreign(self, state: State, directory: str, name: str, content: Optional[bytes]) -> bool:
        """Whether a file is another cluster's. One of this node's present name is a problem, a former one is not."""
        others = clusters(content) - {*state.clusters, self.config.cluster}
        if others and directory == self._directory and name in file_names(state.host, self.config.exporters):
            cause = f"is of a node of another cluster: {', '.join(sorted(others))[:80]}"
            self._problems[f"{directory}/{name}"] = JobstatsError(f"{directory}/{name}", cause, OWN_DIRECTORY)
        return bool(others)

    def _registry(self, directory: str) -> Registry:
        if directory not in self._registries:
            self._registries[directory] = self._open(Path(directory))
        return self._registries[directory]
