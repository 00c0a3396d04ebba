"""The real systemd of a container, as CMDaemon's care for services sees one (`servicecare.ServiceManager`)."""

from __future__ import annotations

import time
from collections.abc import Collection
from threading import RLock

from bcm_jobstats.simulator.lab.container import Container
from bcm_jobstats.simulator.nodeexec import StartError
from bcm_jobstats.simulator.units import UnitNotFoundError

FRESH = 0.5
"""Seconds that an answer of systemd counts as what is now: a look costs a process, and there are many services."""
_RUNNING = frozenset({"active", "reloading", "refreshing"})


class ContainerSystemd:
    """Starts, stops and watches units with systemctl. One look tells the states of all services asked for before."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._lock = RLock()
        self._watched: dict[str, bool] = {}
        self._looked = 0.0

    def active(self, service: str) -> bool:
        """Whether the unit is active: it runs, or is a oneshot that has run and remains."""
        with self._lock:
            if service not in self._watched or time.monotonic() - self._looked > FRESH:
                self._watched.setdefault(service, False)
                self._look()
            return self._watched[service]

    def expect(self, services: Collection[str]) -> None:
        """Look once for all services that will be asked for."""
        with self._lock:
            new = [service for service in services if service not in self._watched]
            if new:
                self._watched.update(dict.fromkeys(new, False))
                self._look()

    def collect(self) -> None:
        """Look anew."""
        with self._lock:
            self._look()

    def _look(self) -> None:
        self._looked = time.monotonic()
        names = list(self._watched)
        if not names or not self._container.up:
            self._watched = dict.fromkeys(names, False)
            return
        told = self._container.run("systemctl", "show", "--property=ActiveState", "--value", *map(_unit, names)).stdout
        states = told.split()
        if len(states) == len(names):
            self._watched = {name: state in _RUNNING for name, state in zip(names, states)}

    def start(self, service: str) -> None:
        """Start a unit; UnitNotFoundError when the node has none of that name, StartError when it fails."""
        done = self._container.run("systemctl", "start", "--no-ask-password", _unit(service))
        if done.returncode == 0:
            self._know(service, active=True)
            return
        self._know(service, active=False)
        if "not found" in done.stdout or "not loaded" in done.stdout:
            raise UnitNotFoundError(f"unit {_unit(service)} not found")
        raise StartError(done.stdout.strip().split("\n")[0] or f"systemctl ended with {done.returncode}")

    def stop(self, services: Collection[str]) -> None:
        """Stop units together."""
        if services and self._container.up:
            self._container.run("systemctl", "stop", "--no-ask-password", *map(_unit, services))
            for service in services:
                self._know(service, active=False)

    def reload(self) -> None:
        """Have the unit files read again."""
        if self._container.up:
            self._container.run("systemctl", "daemon-reload")

    def _know(self, service: str, *, active: bool) -> None:
        """What systemctl has just answered needs no look."""
        with self._lock:
            self._watched[service] = active


def _unit(service: str) -> str:
    return service if "." in service else f"{service}.service"
