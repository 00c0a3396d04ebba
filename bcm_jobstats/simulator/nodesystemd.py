"""The service manager of one process node: starts and stops the units of its file tree, as systemd would.

User=, Group=, sandboxing (Protect*, Private*, …) and limits are not applied: services run as whoever runs the
simulator. Restart= is left to CMDaemon's own repair. Requires=, BindsTo= and Wants= start other services of the tree
first; they are not stopped with the service. A stop reaches the service's process group; what left it with setsid
lives until the cluster is closed.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

from bcm_jobstats.simulator.nodeexec import NodeExec, Process, StartError, end_group
from bcm_jobstats.simulator.nodespace import NodeSpace
from bcm_jobstats.simulator.units import Unit, load_unit
from bcm_jobstats.simulator.unitwords import UnitError


@dataclass
class _Active:
    """A started unit: its main process, or None for a oneshot that remains after its exit."""

    unit: Unit
    process: Process | None = None

    @property
    def alive(self) -> bool:
        return self.process is None or self.process.poll() is None


class NodeSystemd:
    """The units of the node `space`; `mark` goes into the environment of all their processes.

    `start_timeout` bounds every command that is waited for, `stop_timeout` the time between SIGTERM and SIGKILL, both
    in seconds. Calls that change something must not overlap; `active` and `pid` may be called at any time.
    """

    def __init__(
        self, space: NodeSpace, mark: Mapping[str, str], *, start_timeout: float = 10.0, stop_timeout: float = 2.0
    ) -> None:
        self._space = space
        self._exec = NodeExec(space, mark, start_timeout)
        self._stop_timeout = stop_timeout
        self._active: dict[str, _Active] = {}

    def active(self, service: str) -> bool:
        """Whether `service` runs, or is a oneshot that has run and remains."""
        entry = self._active.get(service)
        return entry is not None and entry.alive

    def pid(self, service: str) -> int | None:
        """The main process of `service` while it runs."""
        entry = self._active.get(service)
        return entry.process.pid if entry and entry.process and entry.alive else None

    def start(self, service: str) -> None:
        """Start `service` and what it requires; StartError or UnitError (UnitNotFoundError) when that fails.

        As with `systemctl start`, a service whose conditions do not hold is skipped without an error.
        """
        self.collect()
        self._start(service, set())

    def _start(self, service: str, seen: set[str]) -> None:
        if service in seen or self.active(service):
            return
        seen.add(service)
        unit = load_unit(self._space.root, service, self._space.name)
        for other in unit.requires:
            self._start(other[: -len(".service")], seen)
        for other in unit.wants:
            with suppress(StartError, UnitError):
                self._start(other[: -len(".service")], seen)
        if self._exec.conditions_hold(unit):
            try:
                self._launch(service, unit)
            except (StartError, UnitError, OSError, ValueError) as error:
                self._abandon(service, unit)
                raise StartError(str(error)) from error

    def _launch(self, service: str, unit: Unit) -> None:
        self._exec.prepare(unit)
        self._exec.run(unit, "ExecStartPre")
        if unit.type == "oneshot":
            self._exec.run(unit, "ExecStart")
            self._active[service] = _Active(unit)
        else:
            self._active[service] = _Active(unit, self._exec.spawn(unit, unit.run("ExecStart")[0]))
        self._exec.run(unit, "ExecStartPost")
        if unit.type == "oneshot" and not unit.remain_after_exit:
            self.stop([service])

    def _abandon(self, service: str, unit: Unit) -> None:
        if service in self._active:
            self.stop([service])
        else:
            self._exec.clear(unit)

    def stop(self, services: Collection[str]) -> None:
        """Stop `services` together: ExecStop, SIGTERM to the process groups, SIGKILL after the time allowed."""
        entries = {service: self._active[service] for service in services if service in self._active}
        for entry in entries.values():
            if entry.alive:
                self._exec.attempt(entry.unit, "ExecStop")
        deadline = time.monotonic() + self._stop_timeout
        for entry in entries.values():
            if entry.process:
                end_group(entry.process, signal.SIGTERM)
        for service, entry in entries.items():
            if entry.process:
                with suppress(subprocess.TimeoutExpired):
                    entry.process.wait(max(0.0, deadline - time.monotonic()))
            self._end(service)

    def stop_all(self) -> None:
        """Stop everything that was started here, what other services required included."""
        self.stop(list(self._active))

    def lose_power(self) -> None:
        """Everything is gone at once: no ExecStop, no SIGTERM."""
        for service in list(self._active):
            self._end(service)

    def expect(self, services: Collection[str]) -> None:
        """Nothing: looking costs nothing here."""

    def collect(self) -> None:
        """Clear away the services whose main process has ended by itself."""
        for service in [service for service, entry in self._active.items() if not entry.alive]:
            self._end(service)

    def reload(self) -> None:
        """Read the units of running services again (daemon-reload); nothing is restarted."""
        for service, entry in self._active.items():
            with suppress(UnitError):
                entry.unit = load_unit(self._space.root, service, self._space.name)

    def _end(self, service: str) -> None:
        """Kill what is left of the service's processes, clear up after it and forget it."""
        entry = self._active.pop(service)
        if entry.process:
            end_group(entry.process, signal.SIGKILL)
            entry.process.wait()
        self._exec.clear(entry.unit)
