"""How CMDaemon looks after the services of one node: the semantics of bcm-facts §3.3 on any kind of node.

Taken as given where the facts are silent: a service found running is UP, and at the second check in a row its count
of failures is cleared; a unit that is missing on the node leaves its service DOWN (never FAILING), which is said once
and tried again at every check; the texts of the events for deaths, restarts and failures.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from bcm_jobstats.simulator.nodeexec import StartError
from bcm_jobstats.simulator.noderunner import ServiceState, Wish
from bcm_jobstats.simulator.units import UnitNotFoundError
from bcm_jobstats.simulator.unitwords import UnitError

FAILED_STARTS = 10  # autostarts in a row that fail before a service is FAILING (bcm-facts §3.3)

GOOD_CHECKS = 2  # a service that dies within its first check is no more than started


class ServiceManager(Protocol):
    """What runs the services of one node."""

    def active(self, service: str) -> bool:
        """Whether a service runs."""

    def start(self, service: str) -> None:
        """Start a service; UnitNotFoundError when the node has no such unit, StartError or UnitError otherwise."""

    def stop(self, services: Collection[str]) -> None:
        """Stop services together."""

    def expect(self, services: Collection[str]) -> None:
        """These services will be asked for: whoever has to look may look once."""

    def collect(self) -> None:
        """Take notice of services that have ended by themselves."""


@dataclass
class _Service:
    """`up`: it ran when last seen. `trial`: checks that must find it running until its last start counts as good.

    `told`: its trouble has been told.
    """

    wish: Wish
    stopped: bool = False
    failures: int = 0
    up: bool = False
    trial: int = 0
    told: bool = False


class ServiceCare:
    """The services that CMDaemon looks after on the node `name`; `tell` gets the texts of unasked-for events."""

    def __init__(self, name: str, systemd: ServiceManager, tell: Callable[[str], None]) -> None:
        self._name = name
        self._systemd = systemd
        self._tell = tell
        self._services: dict[str, _Service] = {}
        self.lock = threading.RLock()

    def states(self) -> dict[str, ServiceState]:
        """Every service's state now; not held up by a start or stop that is under way."""
        return {name: self._state(name, service) for name, service in dict(self._services).items()}

    def _state(self, name: str, service: _Service) -> ServiceState:
        if self._systemd.active(name):
            return ServiceState.UP
        if service.stopped:
            return ServiceState.STOPPED
        return ServiceState.FAILING if service.failures >= FAILED_STARTS else ServiceState.DOWN

    def settle(self, wishes: Mapping[str, Wish]) -> list[str]:
        """Look after just the services of `wishes`; the events of what was started and stopped."""
        events: list[str] = []
        with self.lock:
            self._systemd.expect(wishes)
            gone = {name: service for name, service in self._services.items() if name not in wishes}
            stop = [name for name, service in gone.items() if service.wish.autostart and self._systemd.active(name)]
            self._systemd.stop(stop)
            events += [self._event(name, "was stopped") for name in stop]
            for name in gone:
                del self._services[name]
            for name, wish in wishes.items():
                service = self._services.setdefault(name, _Service(wish))
                service.wish = wish
                if wish.autostart and not service.stopped and not self._systemd.active(name):
                    events += self._autostart(name, service, "was started")
        return events

    def act(self, action: str, name: str) -> bool:
        """Do start, stop, restart or reset by hand; False when it failed or the service is not looked after."""
        with self.lock:
            service = self._services.get(name)
            if service is None or action not in ("start", "stop", "restart", "reset"):
                return False
            service.failures, service.trial, service.told = 0, 0, False
            if action in ("stop", "restart"):
                self._systemd.stop([name])
                service.stopped = action == "stop"
            if action in ("start", "restart"):
                service.stopped = False
                return self._start(name, service) == ""
            return True

    def check(self) -> None:
        """One periodic check: tell of deaths, start again what has autostart. Skipped while other work is done."""
        if not self.lock.acquire(blocking=False):
            return
        try:
            self._systemd.collect()
            for name, service in self._services.items():
                self._check(name, service)
        finally:
            self.lock.release()

    def _check(self, name: str, service: _Service) -> None:
        if self._systemd.active(name):
            service.up, service.trial = True, max(0, service.trial - 1)
            if service.trial == 0:
                service.failures, service.told = 0, False
            return
        was_up, service.up = service.up, False
        if service.stopped:
            return
        if service.trial:  # the last start did not hold
            service.failures, service.trial = service.failures + 1, 0
        if was_up and service.wish.monitored and not service.told:
            self._tell(self._event(name, "died"))
        if service.wish.autostart:
            for event in self._autostart(name, service, "was restarted" if was_up else "was started"):
                self._tell(event)
            service.told = True

    def forget(self) -> None:
        """Look after nothing any more; what runs goes on."""
        with self.lock:
            self._services.clear()

    def _autostart(self, name: str, service: _Service, done: str) -> list[str]:
        """Try to start; the event, or none for trouble told before and for the attempts of a FAILING service."""
        failure = self._start(name, service)
        if service.failures >= FAILED_STARTS or (failure and service.told):
            return []
        service.told = service.told or bool(failure)
        return [self._event(name, f"could not be started: {failure}" if failure else done)]

    def _start(self, name: str, service: _Service) -> str:
        """Start the service; why it failed, or an empty text."""
        try:
            self._systemd.start(name)
        except UnitNotFoundError as error:
            service.failures = 0
            return str(error)
        except (StartError, UnitError, OSError) as error:
            service.failures += 1
            return str(error)
        service.up, service.trial = True, GOOD_CHECKS
        return ""

    def _event(self, name: str, what: str) -> str:
        return f"{self._name}: Service {name} {what}"
