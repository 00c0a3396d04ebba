"""Keeps the exporters' services as the role says, whatever else happens to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Callable

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.node.messages import Messages
from bcm_jobstats.node.ports import Services, ServicesLost
from bcm_jobstats.node.retries import Retries
from bcm_jobstats.node.state import State
from bcm_jobstats.node.world import World

SETTLING = 2.0
"""Seconds after which a service that was started tells whether it runs (peers A4 4.6)."""

RUNNING = {"active", "reloading", "refreshing"}
TO_STOP = {*RUNNING, "activating"}
"""A unit that failed, or is on its way down, needs no stopping."""
MISSING = "missing"
INSTALL = "Is it in this node's software image? bcm-jobstats apply puts it there."
STUCK = "It is told again in every round. On the node: systemctl status, and who holds its processes."
SYSTEMD = "systemd"


class Runner:
    """The services `names`; `states` are theirs as they were left, empty when systemd cannot be asked.

    Which ones were started is in the state, and saved, before they are: one that is taken out of the configuration is
    stopped also by an agent that never knew it.
    """

    def __init__(
        self,
        names: Sequence[str],
        services: Services,
        retries: Retries,
        messages: Messages,
        *,
        world: World,
        save: Callable[[], None],
    ) -> None:
        self.names = names
        self.services, self.retries, self.messages, self.world = services, retries, messages, world
        self._save = save
        self._given_up: set[str] = set()
        """Those not in `names` that do not stop: told once, and not tried again."""
        self.states: Mapping[str, str] = {}

    def keep(self, state: State, running: bool) -> None:
        """Have the services run, or have none run; have none run that were started and are not in `names` any more."""
        try:
            self._look()
            if running:
                self._start(state)
            else:
                self._stop(state)
            self._stop_former(state)
            self.messages.over(SYSTEMD)
        except ServicesLost as error:
            self.messages.problem(SYSTEMD, error)
            self.states = {}

    def look(self) -> None:
        """Learn the states and change nothing."""
        try:
            self._look()
            self.messages.over(SYSTEMD)
        except ServicesLost as error:
            self.messages.problem(SYSTEMD, error)
            self.states = {}

    def _look(self) -> None:
        self.states = dict(self.services.states(self.names))

    def _start(self, state: State) -> None:
        down = [name for name in self.names if not self._seen_running(name)]
        due = [name for name in down if self.states.get(name) != MISSING and self.retries.due(name, self.world.now())]
        for name in down:
            self._tell(name)
        if due:
            started = sorted({*state.started, *due})
            if started != state.started:
                state.started = started
                self._save()
            self.services.start(due)
            self.world.sleep(SETTLING)
            self._look()
            self._judge(due)

    def _seen_running(self, name: str) -> bool:
        state = self.states.get(name, MISSING)
        if state in RUNNING:
            self.retries.runs(name)
            self.messages.over(name)
        elif state == MISSING:
            self.messages.problem(name, JobstatsError(f"service {name}", "there is no such unit", INSTALL))
        return state in RUNNING

    def _judge(self, tried: Sequence[str]) -> None:
        now = self.world.now()
        started = [name for name in tried if self.states.get(name) in RUNNING]
        if started:
            self.messages.change(f"started {', '.join(started)}", f"start {', '.join(started)}")
        for name in tried:
            if name in started:
                self.retries.started(name, now)
            else:
                self.retries.failed(name, now)
            self._tell(name)

    def _tell(self, name: str) -> None:
        """A problem from the first failed attempt until it is seen to last."""
        attempts = self.retries.pending.get(name)
        if attempts is None:
            return
        again = self.retries.slow if attempts.slow else self.retries.soon
        cause = f"{'still ' if attempts.slow else ''}does not run; tried again every {again:g} seconds"
        self.messages.problem(name, JobstatsError(f"service {name}", cause, f"See: journalctl -u {name}"))

    def _stop(self, state: State) -> None:
        self.retries.clear()
        running = [name for name in self.names if self.states.get(name) in TO_STOP]
        if running:
            self.services.stop(running)
            self._look()
        left = [name for name in running if self.states.get(name) in TO_STOP]
        self._stopped([name for name in running if name not in left])
        for name in self.names:
            if name in left:
                self.messages.problem(name, JobstatsError(f"service {name}", "is told to stop and still runs", STUCK))
            else:
                self.messages.over(name)
        state.started = [name for name in state.started if name in left or name not in self.names]

    def _stop_former(self, state: State) -> None:
        former = [name for name in state.started if name not in self.names and name not in self._given_up]
        if not former:
            return
        states = self.services.states(former)
        running = [name for name in former if states.get(name) in TO_STOP]
        if running:
            self._given_up.update(running)  # the first order may be the one that is not carried out
            self.services.stop(running)
            states = self.services.states(former)
        left = [name for name in running if states.get(name) in TO_STOP]
        self._stopped([name for name in running if name not in left])
        for name in left:
            cause = "is not configured any more, and still runs"
            self.messages.once(JobstatsError(f"service {name}", cause, f"Stop it: systemctl stop {name}"))
        self._given_up.difference_update(set(running) - set(left))
        state.started = [name for name in state.started if name not in former or name in left]

    def _stopped(self, names: Sequence[str]) -> None:
        if names:
            self.messages.change(f"stopped {', '.join(names)}", f"stop {', '.join(names)}")
