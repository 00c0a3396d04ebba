"""The agent: services and target files of this node follow one role that BCM gives it (peers A4).

What BCM said last goes on to hold while it says nothing: Unknown changes nothing, and what falls away is put back.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Optional

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.node import names
from bcm_jobstats.node.config import STATE, Config
from bcm_jobstats.node.dry import DryRegistry, DryServices
from bcm_jobstats.node.messages import Messages, where
from bcm_jobstats.node.metrics import Metrics
from bcm_jobstats.node.outcome import Outcome
from bcm_jobstats.node.ports import NotListed, Registry, Roles, Services, Unknown
from bcm_jobstats.node.registrar import Registrar
from bcm_jobstats.node.registration import file_names
from bcm_jobstats.node.retries import Retries
from bcm_jobstats.node.runner import Runner
from bcm_jobstats.node.state import State
from bcm_jobstats.node.store import StateLost, Store
from bcm_jobstats.node.world import World

SOONEST, LATEST = 0.75, 0.85
"""Shares of check_interval between which a round begins: a change is seen within check_interval, and nodes that
started together do not ask together for long."""
LONGEST = 2
"""BCM that did not answer twice is asked in every LONGEST-th round: it is seen within two intervals when it is back."""
BCM, HOST, STATE_FILE, TEXTFILE = "bcm", "host", "state", "textfile"
"""What Messages has problems about, besides services and directories."""


class Agent:
    """start_up() once, then cycle() after each Outcome.wait, withdraw() at the end. None of them raises what is wrong
    in the world: that is in Outcome.problems, and said once. With `dry_run` nothing is changed, not even the state."""

    def __init__(
        self,
        config: Config,
        roles: Roles,
        services: Services,
        registry: Callable[[Path], Registry],
        messages: Messages,
        *,
        world: Optional[World] = None,
        dry_run: bool = False,
        former: Optional[Agent] = None,
    ) -> None:
        """`registry` opens a targets directory: the configured one, and former ones that have files of this node.
        `former` is the agent of this process whose place it takes, for another configuration: what that one knows is
        newer than what lies on a disk that may be full."""
        self.config, self.roles, self.messages = config, roles, messages
        self.world = world or World()
        directory = config.root / STATE.relative_to("/")
        self.store = Store(directory, config.role, config.targets, dry_run)
        self.metrics = Metrics(None if dry_run else config.textfile)
        if dry_run:
            real_services, real_registry = services, registry
            self.world = self.world._replace(sleep=lambda seconds: None)
            services, registry = DryServices(real_services), lambda path: DryRegistry(real_registry(path))
        self.retries = Retries(config.retry_interval, config.max_retries, config.slow_retry_interval)
        exporters = [exporter.service for exporter in config.exporters]
        self.runner = Runner(exporters, services, self.retries, messages, world=self.world, save=self._save)
        self.registrar = Registrar(config, registry, messages, self._save)
        self.state: Optional[State] = None
        self._failures = self._skip = 0
        if former is not None:
            self._go_on(former)
        for warning in config.warnings:
            messages.once(JobstatsError("config.json", warning))

    def start_up(self) -> Outcome:
        """Keep to the last known role without asking BCM. `wait` spreads the first polls of all nodes."""
        self._meet()
        self._keep()
        return self._outcome(self.world.uniform(0, self.config.check_interval / 2))

    def cycle(self) -> Outcome:
        """One round: ask BCM, then have everything as the last known role says."""
        self._meet()
        self._ask()
        self._keep()
        return self._outcome(self.config.check_interval * self.world.uniform(SOONEST, LATEST))

    def withdraw(self) -> None:
        """Take this node's target files away; systemd stops the exporters with the agent (PartOf=). What cannot be
        reached now is remembered."""
        self._meet()
        if self.state is not None:
            self.registrar.keep(self.state, registered=False)
            self._save()

    def hurry(self) -> None:
        """Ask BCM in the next round, however long it has not answered."""
        self._skip = 0

    def _go_on(self, former: Agent) -> None:
        self.metrics.go_on(former.metrics)
        if former.state is None:
            return
        self.state = former.state
        self.retries.go_on(former.retries)
        self.state.retries = self.retries.pending
        if former.config.role != self.config.role:
            self.state.forget()

    def _meet(self) -> None:
        """Learn the node's name, and its state under that name."""
        try:
            host = names.current(self.world.host)
        except JobstatsError as error:
            self.messages.problem(HOST, error)  # the former name goes on to hold
            return
        self.messages.over(HOST)
        if self.state is None:
            self._load(host)
        elif self.state.host != host:
            self.messages.found(f"this node was {self.state.host} and is {host} now")
            # What BCM said was about the old name. Its files stay, and are in the state, until it tells of this one.
            self.state.host = host
            self.state.forget()
            self.registrar.present = {}
            self._skip = 0
            self._save()

    def _load(self, host: str) -> None:
        self.state, problems = self.store.load(host)
        for problem in problems:
            self.messages.once(problem)
        self.retries.pending.update(self.state.retries)
        self.state.retries = self.retries.pending
        # Whatever was known is lost with a damaged state: files under the own name may be there all the same.
        directory = str(self.config.targets)
        own = file_names(host, self.config.exporters)
        self.state.record(directory, {*own, *self.state.registered.get(directory, [])})
        self._save()

    def _ask(self) -> None:
        if self.state is None:
            return
        if self._skip:
            self._skip -= 1
            return
        try:
            has = self.roles.has(self.state.host, self.state.has)
        except Unknown as error:
            self._unanswered(error)
            return
        except Exception as error:  # whatever it is, what is known of the role goes on to hold
            cause = f"cannot be asked: {type(error).__name__}: {error}; {where(error)}"
            self._unanswered(Unknown("BCM", cause, "This is an error in bcm-jobstats: please report it."))
            return
        self._failures = 0
        self.messages.over(BCM)
        self._learn(self.state, has)

    def _unanswered(self, error: Unknown) -> None:
        if not isinstance(error, NotListed):  # a node that was just added is to be seen at once
            self._failures += 1
            self._skip = LONGEST - 1 if self._failures > 1 else 0
        self.metrics.unanswered()
        self.messages.problem(BCM, error)

    def _learn(self, state: State, has: bool) -> None:
        now = self.world.now()
        self.metrics.answered(now)
        state.last_check = now
        if has != state.has:
            state.has, state.since = has, now
            self.messages.found(f"{state.host} {'has' if has else 'does not have'} {self.config.role}")
            self._save()  # before anything is done about it: an agent that is killed here goes on with it

    def _keep(self) -> None:
        """Have everything as the last known role says. A target is there no longer than the services that it names."""
        if self.state is None or self.state.has is None:
            self.runner.look()
        elif self.state.has:
            self.runner.keep(self.state, True)
            self.registrar.keep(self.state, True)
        else:
            self.registrar.keep(self.state, False)
            self.runner.keep(self.state, False)
        self._save()

    def _save(self) -> None:
        if self.state is None:
            return
        try:
            self.store.save(self.state)
            self.messages.over(STATE_FILE)
        except StateLost as error:
            self.messages.problem(STATE_FILE, error)

    def _outcome(self, wait: float) -> Outcome:
        state, problems = self.state or State(""), self.messages.problems
        outcome = Outcome(
            host=state.host or None,
            role=self.config.role,
            has=state.has,
            since=state.since,
            wait=wait,
            unknown=problems.get(HOST) or problems.get(BCM),
            services=dict(self.runner.states),
            targets=dict(self.registrar.present),
        )
        try:
            self.metrics.write(outcome, {name: attempts.made for name, attempts in self.retries.pending.items()})
            self.messages.over(TEXTFILE)
        except JobstatsError as error:
            self.messages.problem(TEXTFILE, error)
        return outcome._replace(changes=self.messages.changes(), problems=tuple(problems.values()))
