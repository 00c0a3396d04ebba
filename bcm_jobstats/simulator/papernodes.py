"""Nodes that exist on paper only: their services do at once what CMDaemon wishes. For 10,000 nodes and unit tests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from threading import RLock

from bcm_jobstats.simulator.excludelists import Rules
from bcm_jobstats.simulator.noderunner import INSTALL, UPDATE, Install, ServiceState, SimulatedNode, Synced, Wish


class PaperNodes:
    """A NodeRunner without processes and files."""

    def __init__(self, nodes: Iterable[SimulatedNode]) -> None:
        self._lock = RLock()
        self._states: dict[str, dict[str, ServiceState]] = {node.name: {} for node in nodes}
        self._wishes: dict[str, Mapping[str, Wish]] = {}

    def settle(self, wanted: Mapping[str, Mapping[str, Wish]]) -> list[str]:
        """Start what is new and wished to start; forget what is gone, stopped when its wish had autostart."""
        events: list[str] = []
        with self._lock:
            for node in {*wanted, *self._wishes}:
                wishes = wanted.get(node, {})
                before = self._wishes.get(node, {})
                if wishes is not before:
                    events += self._settle(node, before, wishes)
            self._wishes = {node: wishes for node, wishes in wanted.items() if wishes}
        return events

    def _settle(self, node: str, before: Mapping[str, Wish], wishes: Mapping[str, Wish]) -> list[str]:
        states, events = self._states.setdefault(node, {}), []
        for service in sorted(set(before) - set(wishes)):
            if states.pop(service, None) is ServiceState.UP and before[service].autostart:
                events.append(f"{node}: Service {service} was stopped")
        for service, wish in wishes.items():
            old = before.get(service)
            if service not in states:
                states[service] = ServiceState.DOWN
            starts = wish.autostart and (old is None or not old.autostart)
            if starts and states[service] is ServiceState.DOWN:
                states[service] = ServiceState.UP
                events.append(f"{node}: Service {service} was started")
        return events

    def states(self, node: str) -> dict[str, ServiceState]:
        """The state of every service of a node."""
        with self._lock:
            return dict(self._states.get(node, {}))

    def act(self, action: str, node: str, service: str) -> bool:
        """Start, stop, restart or reset a service that CMDaemon looks after."""
        with self._lock:
            states = self._states.get(node, {})
            if service not in states:
                return False
            if action != "reset" or states[service] is ServiceState.FAILING:
                states[service] = ServiceState.STOPPED if action == "stop" else ServiceState.UP
            return True

    def add(self, node: SimulatedNode) -> None:
        """Nothing has to be made ready."""

    def remove(self, node: str) -> None:
        """It is forgotten."""
        with self._lock:
            self._states.pop(node, None)
            self._wishes = {name: wishes for name, wishes in self._wishes.items() if name != node}

    def boot(self, nodes: Collection[str], image: Path, install: Install = INSTALL) -> list[str]:
        """They are up at once, and nothing runs yet."""
        del image, install
        self._forget(set(nodes))
        return list(nodes)

    def shell(self, node: str, line: str, seconds: float) -> str | None:
        """A node without files runs nothing."""

    def lose_power(self, node: str) -> None:
        """What ran there is gone."""
        self._forget({node})

    def _forget(self, nodes: set[str]) -> None:
        with self._lock:
            self._states.update((node, {}) for node in nodes)
            self._wishes = {name: wishes for name, wishes in self._wishes.items() if name not in nodes}

    def ended(self) -> Collection[str]:
        """Nobody is on them who could switch them off."""
        return ()

    def update(self, nodes: Collection[str], image: Path, *, dry_run: bool, rules: Rules = UPDATE) -> dict[str, Synced]:
        """Nothing changes on a node without files."""
        del image, dry_run, rules
        return {node: Synced() for node in nodes}

    def close(self) -> None:
        """Nothing runs."""
