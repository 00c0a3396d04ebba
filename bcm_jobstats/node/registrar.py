"""Keeps this node's target files as the role says, and takes away those of its former name or directory."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from bcm_jobstats.node.config import Config
from bcm_jobstats.node.messages import Messages
from bcm_jobstats.node.ports import Registry, StorageLost
from bcm_jobstats.node.registration import file_names, files
from bcm_jobstats.node.state import State


class Registrar:
    """`present`: target file of this node -> whether it is there; one that cannot be told about is not in it.

    What may lie in a directory because of us is in the state, and saved, before it is written: however the agent ends,
    the next one knows what to take away.
    """

    def __init__(
        self, config: Config, registry: Callable[[Path], Registry], messages: Messages, save: Callable[[], None]
    ) -> None:
        self.config, self.messages = config, messages
        self._open, self._save = registry, save
        self._registries: dict[str, Registry] = {}
        self.present: dict[str, bool] = {}

    def keep(self, state: State, registered: bool) -> None:
        """Have this node's files there, or none. Files of former names go once the new ones are written."""
        directory = str(self.config.targets)
        own = file_names(state.host, self.config.exporters)
        wanted = files(state.host, self.config.cluster, self.config.exporters) if registered else {}
        self.present = {}
        if self._write(state, directory, wanted):
            self._remove(state, directory, {*state.registered.get(directory, ()), *own} - wanted.keys())
            for former in [one for one in state.registered if one != directory]:
                self._remove(state, former, set(state.registered[former]))
        self.present = {name: there for name, there in self.present.items() if name in own}

    def _write(self, state: State, directory: str, wanted: dict[str, bytes]) -> bool:
        if not wanted:
            return True
        known = set(state.registered.get(directory, ()))
        if not wanted.keys() <= known:
            state.record(directory, known | wanted.keys())
            self._save()
        try:
            for name, content in wanted.items():
                if self._registry(directory).put(name, content):
                    self.messages.change(f"wrote {directory}/{name}", f"write {directory}/{name}")
                self.present[name] = True
        except StorageLost as error:
            self.messages.problem(directory, error)
            return False
        self.messages.over(directory)
        return True

    def _remove(self, state: State, directory: str, names: Collection[str]) -> None:
        left = set(state.registered.get(directory, ()))
        try:
            for name in sorted(names):
                if self._registry(directory).remove(name):
                    self.messages.change(f"removed {directory}/{name}", f"remove {directory}/{name}")
                left.discard(name)
                self.present[name] = False
            self.messages.over(directory)
        except StorageLost as error:
            self.messages.problem(directory, error)
        state.record(directory, left)

    def _registry(self, directory: str) -> Registry:
        if directory not in self._registries:
            self._registries[directory] = self._open(Path(directory))
        return self._registries[directory]
