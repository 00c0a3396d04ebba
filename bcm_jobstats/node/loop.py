"""The life of the agent as a service: rounds, waits, watchdog, a new configuration, the end."""

from __future__ import annotations

import time
from typing import Callable, Optional, Protocol

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.node.agent import Agent
from bcm_jobstats.node.config import BadConfig, Config
from bcm_jobstats.node.messages import NOTICE, line, where
from bcm_jobstats.node.notify import Notify
from bcm_jobstats.node.outcome import Outcome
from bcm_jobstats.node.runner import RUNNING
from bcm_jobstats.node.signals import Stop

ERROR = 3
"""syslog's priority of what should not happen."""


class Waiting(Protocol):
    """signals.Signals, as tests have it too."""

    def begin(self) -> None:
        """Signals come from now on. Raises Stop."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait, less when a signal comes. Raises Stop."""
        ...

    def asked_to_reload(self) -> bool:
        """Whether SIGHUP came since this was last asked."""
        ...

    def ignore(self) -> None:
        """What follows is not interrupted."""
        ...


class Loop:
    """Goes on until it is told to stop, whatever happens: a service that ended would be started again by systemd, and
    the exporters with it."""

    def __init__(
        self,
        load: Callable[[], Config],
        make: Callable[[Config, Optional[Agent]], Agent],
        signals: Waiting,
        *,
        notify: Notify,
        say: Callable[[int, str], None],
        feeding: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`load` raises BadConfig; `make` is also given the agent before. `feeding` is how often the watchdog is to be
        fed, in seconds."""
        self._load, self._make = load, make
        self._signals, self._notify, self._say = signals, notify, say
        self._feeding, self._monotonic = feeding, monotonic
        self._config: Optional[Config] = None
        self._agent: Optional[Agent] = None
        self._said = ""
        self._sound = False
        """Whether the configuration was sound when it was last read."""
        self._started = False
        """Whether what was known of the node was kept to; from then on BCM is asked first."""

    def run(self) -> None:
        """Everything, until Stop: then this node's targets are withdrawn."""
        try:
            self._signals.begin()
            self._guarded(self._read)
            self._notify.ready("has read its configuration")
            while True:
                self._wait(self._round())
                if not self._sound:
                    self._guarded(self._read)
        except Stop:
            self._signals.ignore()
            self._notify.stopping()
            if self._agent is None:  # a target may be there of an agent that was killed
                self._guarded(self._read)
            if self._agent is not None:
                self._guarded(self._agent.withdraw)

    def _round(self) -> float:
        """One round; how long to wait after it, in seconds."""
        if self._agent is None:
            self._notify.alive(f"no sound configuration: {self._said}")
            return Config().check_interval
        outcome = self._guarded(self._agent.cycle if self._started else self._agent.start_up)
        self._started = True
        if outcome is None:
            self._notify.alive("has met an error of its own: see its log")
            return self._config.check_interval if self._config else Config().check_interval
        self._notify.alive(status(outcome))
        return outcome.wait

    def _read(self) -> None:
        """Read the configuration, and make an agent for a new one. One that is not sound changes nothing."""
        try:
            config = self._load()
        except BadConfig as error:
            self._sound = False
            if line(error) != self._said:
                self._said = line(error)
                going_on = "; the one read before goes on being used" if self._agent else ""
                self._say(ERROR, f"{self._said}{going_on}")
            return
        if self._said:
            self._say(NOTICE, "the configuration is sound again")
        self._sound, self._said = True, ""
        if self._config is None or not config.means(self._config):
            self._config, self._agent = config, self._make(config, self._agent)

    def _guarded(self, act: Callable[[], Optional[Outcome]]) -> Optional[Outcome]:
        """What `act` gives; None for an error that nobody thought of, which ends this round and not the agent."""
        try:
            return act()
        except JobstatsError as error:
            self._say(ERROR, line(error))
        except Exception as error:  # a crash would stop the exporters for it
            self._say(ERROR, f"error of its own: {type(error).__name__}: {error}; {where(error)}")
        return None

    def _wait(self, seconds: float) -> None:
        """Wait for the next round, or SIGHUP; the watchdog is fed meanwhile."""
        until = self._monotonic() + seconds
        while (left := until - self._monotonic()) > 0:
            self._signals.wait(min(left, self._feeding))
            self._notify.alive()
            if self._signals.asked_to_reload():
                self._sound = False
                if self._agent is not None:
                    self._agent.hurry()
                return


def status(outcome: Outcome) -> str:
    """A round on one line, for `systemctl status`."""
    has = "unknown" if outcome.has is None else "yes" if outcome.has else "no"
    running = sum(state in RUNNING for state in outcome.services.values())
    parts = [f"role {outcome.role}: {has}"]
    parts.append(f"{running} of {len(outcome.services)} services run" if outcome.services else "services not known")
    parts.append(f"{sum(outcome.targets.values())} target files")
    if outcome.problems:
        parts.append(f"{len(outcome.problems)} problems, see the log")
    return "; ".join(parts)
