"""A day of a node, with everything that can happen to it at random: services and target always agree with the last
known role, the state file is always whole, and memory does not grow."""

from __future__ import annotations

import errno
import gc
import json
import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Optional

import pytest

from bcm_jobstats.node.agent import Agent
from bcm_jobstats.node.config import Config, Exporter
from bcm_jobstats.node.outcome import Outcome
from bcm_jobstats.node.ports import NotListed, Unknown
from bcm_jobstats.node.registration import files
from bcm_jobstats.node.state import decode
from tests.node.fakes import Node

HOUR = 3600.0
YEAR = 365 * 24 * HOUR
CONFIG = Config(exporters=(*Config().exporters, Exporter("dcgm-exporter", "dcgm-exporter", 9400, "+dcgm-exporter")))
HOSTS = ["node001", "node002", "node003"]
UNKNOWN = [
    Unknown("BCM", "does not answer"),
    Unknown("BCM", "HTTP 200 with an error message"),
    Unknown("BCM", "its answer ends too soon"),
    Unknown("certificate", "has expired"),
]
LOST = ["is missing", "is read-only", "does not answer in time", "is full"]


class Killed(BaseException):
    """kill -9."""


class Day:
    """What happens, and what must hold then. The oracle knows what BCM said last, not what the agent makes of it."""

    def __init__(self, root: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.chance = random.Random(seed)
        self.node = Node(root, CONFIG)
        self.node.uniform = self.chance.uniform
        self.node.roles.nodes = {HOSTS[0]: True}
        self.steps_left: Optional[int] = None
        """Steps until the agent is killed."""
        self.node.roles.step = self.node.services.step = self.node.targets.step = self.step
        monkeypatch.setattr(os, "fsync", lambda descriptor: self.fsync())
        self.full = False
        self.spent = 0.0
        self.counts = {"killed": 0, "rounds": 0, "agreed": 0, "unknown": 0}
        self.expected: Optional[bool] = None
        """The role that BCM told last for this node under its present name, as far as the agent can know."""
        self.called = HOSTS[0]
        """The name under which the agent last met the node."""
        self.agent = self.started()

    def step(self, what: str) -> None:
        """The world is about to be changed, or was a moment ago."""
        if self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left < 0:
                raise Killed
        self.node.steps.append(what)

    def fsync(self) -> None:
        """A file of the state is about to be whole."""
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.step("fsync")

    def started(self) -> Agent:
        """A new agent; systemd stopped the exporters with the former one, unless it was killed."""
        agent = self.node.agent()
        self.round(agent.start_up)
        return agent

    def pass_time(self, until: float, faults: bool = True) -> None:
        """Rounds up to this second of the day."""
        while self.spent < until:
            if faults:
                self.something_happens()
            outcome = self.round(self.agent.cycle)
            if outcome is None:
                self.agent = self.started()
                continue
            assert 0 < outcome.wait <= CONFIG.check_interval
            self.spent += outcome.wait
            self.node.clock.sleep(outcome.wait)

    def round(self, act: Callable[[], Outcome]) -> Optional[Outcome]:
        """One round and everything that must hold after it; None when the agent was killed in it."""
        node = self.node
        node.steps.clear()
        node.log.clear()
        before = self.as_it_is()
        node.roles.told = None
        if node.host != self.called:
            self.called, self.expected = node.host, None  # what BCM said was about another name
        self.counts["rounds"] += 1
        try:
            outcome = act()
        except Killed:
            self.steps_left = None
            self.counts["killed"] += 1
            self.expected = self.believed()
            self.called = self.node.host
            self.state_is_whole()
            return None
        if node.roles.told is not None:
            self.expected = node.roles.told
        self.state_is_whole()
        assert outcome.has == self.expected
        self.nothing_against(before)
        if outcome.unknown is not None:
            self.counts["unknown"] += 1
        if not node.services.lost and not any(one.lost for one in node.directories.values()):
            self.agrees()
        return outcome

    def believed(self) -> Optional[bool]:
        """After a kill: the old answer or the new one, whichever reached the state file; none under a new name that did
        not reach it."""
        path = self.node.states / f"{self.node.host}_state.json"
        has = json.loads(path.read_bytes())["has_slurmclient_role"] if path.exists() else None
        assert has in (None, self.expected, self.node.roles.told)
        return has if has is None else bool(has)

    def as_it_is(self) -> tuple[dict[str, str], set[str]]:
        """The services, and the files of this node under its present name."""
        return dict(self.node.services.units), set(self.node.targets.files) & self.own

    @property
    def own(self) -> set[str]:
        return set(files(self.node.host, CONFIG.cluster, CONFIG.exporters))

    def nothing_against(self, before: tuple[dict[str, str], set[str]]) -> None:
        """Whatever was done is towards the last known role, and nothing was done without one."""
        verbs = {step.split()[0] for step in self.node.steps} & {"start", "stop", "put", "remove"}
        if self.expected is None:
            assert (verbs, self.as_it_is()) == (set(), before)
        else:
            assert ("stop" if self.expected else "start") not in verbs
            assert self.expected or "put" not in verbs
            own = {f"remove {name}" for name in self.own}
            assert not self.expected or not own & set(self.node.steps)

    def agrees(self) -> None:
        """Services and target, with everything reachable. A service may be waited with; the target is not."""
        if self.expected is None:
            return
        node = self.node
        if self.own & node.targets.stuck:
            return
        self.counts["agreed"] += 1
        wanted = files(node.host, CONFIG.cluster, CONFIG.exporters) if self.expected else {}
        assert node.targets.files == wanted
        waiting = self.agent.retries.pending if hasattr(self, "agent") else {}
        for name, state in node.services.units.items():
            if self.expected:
                assert state == "active" or name in waiting or name in node.services.broken
            else:
                assert state not in ("active", "activating", "reloading") or name in node.services.stuck

    def state_is_whole(self) -> None:
        for path in self.node.states.glob("*_state.json"):
            decode(path.read_bytes(), path.name, CONFIG.role, "/targets")

    def something_happens(self) -> None:
        """Nothing in most rounds."""
        if self.chance.random() < 0.15:
            self.chance.choice(EVENTS)(self)

    def role_changes(self) -> None:
        host = self.node.host
        self.node.roles.nodes[host] = not self.node.roles.nodes.get(host, False)

    def bcm_fails(self) -> None:
        self.node.roles.fault = self.chance.choice(UNKNOWN)

    def bcm_forgets_the_node(self) -> None:
        self.node.roles.nodes.pop(self.node.host, None)

    def bcm_does_not_know_its_nodes_for_a_round(self) -> None:
        """CMDaemon that was just started."""
        fault, self.node.roles.fault = self.node.roles.fault, NotListed("node", "BCM does not list it")
        self.steps_left = None
        self.round(self.agent.cycle)
        self.node.roles.fault = fault

    def bcm_is_back(self) -> None:
        self.node.roles.fault = None
        self.node.roles.nodes.setdefault(self.node.host, self.chance.random() < 0.5)

    def service_breaks(self) -> None:
        name = self.chance.choice(list(self.node.services.units))
        self.node.services.broken.add(name)
        if self.node.services.units[name] == "active":
            self.node.services.units[name] = "failed"

    def service_crashes(self) -> None:
        name = self.chance.choice(list(self.node.services.units))
        if self.node.services.units[name] == "active":
            self.node.services.units[name] = self.chance.choice(["failed", "inactive"])

    def service_is_started_by_somebody(self) -> None:
        name = self.chance.choice(list(self.node.services.units))
        if name not in self.node.services.broken:
            self.node.services.units[name] = "active"

    def services_are_mended(self) -> None:
        self.node.services.broken.clear()
        self.node.services.stuck.clear()

    def service_does_not_stop(self) -> None:
        self.node.services.stuck.add(self.chance.choice(list(self.node.services.units)))

    def folders_lie_in_the_place_of_the_files_of_a_former_name(self) -> None:
        self.node.targets.stuck |= self.own
        for name in self.own:
            self.node.targets.files.pop(name, None)
        self.node_is_renamed()

    def configuration_changes_while_the_disk_is_full(self) -> None:
        self.steps_left = None
        self.full = True
        self.role_changes()
        self.round(self.agent.cycle)
        self.full = False
        self.agent = self.node.agent(former=self.agent)
        self.round(self.agent.start_up)

    def storage_is_lost(self) -> None:
        self.node.targets.lost = self.chance.choice(LOST)

    def storage_is_back(self) -> None:
        self.node.targets.lost = None
        self.node.targets.stuck.clear()

    def target_is_removed_or_damaged(self) -> None:
        if self.node.targets.files and not self.node.targets.lost:
            name = self.chance.choice(list(self.node.targets.files))
            if self.chance.random() < 0.5:
                self.node.targets.files[name] = b"[]"
            else:
                del self.node.targets.files[name]

    def systemd_is_lost(self) -> None:
        self.node.services.lost = True

    def systemd_is_back(self) -> None:
        self.node.services.lost = False

    def agent_is_killed(self) -> None:
        self.steps_left = self.chance.randrange(12)

    def agent_is_restarted(self) -> None:
        try:
            self.agent.withdraw()
        except Killed:
            self.counts["killed"] += 1
        self.steps_left = None
        for name, state in self.node.services.units.items():
            self.node.services.units[name] = "inactive" if state == "active" else state
        self.agent = self.started()

    def node_is_renamed(self) -> None:
        """BCM knows it by its new name, sometimes a little later; the agent may be off meanwhile."""
        host = self.chance.choice([host for host in HOSTS if host != self.node.host])
        has = self.node.roles.nodes.pop(self.node.host, False)
        if self.chance.random() < 0.8:
            self.node.roles.nodes[host] = has
        self.node.host = host
        if self.chance.random() < 0.5:
            self.steps_left = None
            self.agent = self.started()

    def name_is_lost_for_a_round(self) -> None:
        host, self.node.host = self.node.host, "localhost"
        self.steps_left = self.node.roles.told = None
        self.agent.cycle()
        self.node.host = host
        if self.node.roles.told is not None:
            self.expected = self.node.roles.told

    def clock_is_set(self) -> None:
        self.node.clock.time += self.chance.choice([-YEAR, YEAR, -HOUR, HOUR])

    def state_is_damaged(self) -> None:
        """Noticed at the next start, which is now."""
        path = self.node.states / f"{self.node.host}_state.json"
        self.steps_left = None
        if path.exists() and not self.node.targets.lost and set(self.node.targets.files) <= self.own:
            path.write_bytes(path.read_bytes()[: self.chance.randrange(40)])
            self.expected = None
            self.agent = self.started()


EVENTS: list[Callable[[Day], None]] = [
    *[Day.role_changes] * 4, *[Day.bcm_is_back] * 3, *[Day.storage_is_back] * 3, *[Day.systemd_is_back] * 2,
    *[Day.agent_is_killed] * 3, *[Day.services_are_mended] * 2,
    Day.bcm_does_not_know_its_nodes_for_a_round, Day.service_does_not_stop,
    Day.folders_lie_in_the_place_of_the_files_of_a_former_name, Day.configuration_changes_while_the_disk_is_full,
    Day.bcm_fails, Day.bcm_forgets_the_node, Day.service_breaks, Day.service_crashes,
    Day.service_is_started_by_somebody, Day.storage_is_lost, Day.target_is_removed_or_damaged, Day.systemd_is_lost,
    Day.agent_is_restarted, Day.node_is_renamed, Day.name_is_lost_for_a_round, Day.clock_is_set, Day.state_is_damaged,
]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_a_day(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    day = Day(tmp_path, seed, monkeypatch)
    day.pass_time(24 * HOUR)
    assert day.counts["killed"] > 10
    assert day.counts["unknown"] > 100
    assert day.counts["agreed"] > 300
    # All is well again: two hours later nothing of it is left, whatever was waited with.
    for mend in (Day.bcm_is_back, Day.storage_is_back, Day.systemd_is_back, Day.services_are_mended):
        mend(day)
    day.steps_left = None
    day.node.roles.nodes[day.node.host] = True
    day.pass_time(26 * HOUR, faults=False)
    assert set(day.node.services.units.values()) == {"active"}
    assert day.agent.messages.problems == {}
    assert [path.name for path in day.node.states.glob("*_state.json")] == [f"{day.node.host}_state.json"]


def traced() -> int:
    """Bytes held by Python objects, but for the interned words of pathlib: their table grows by leaps."""
    gc.collect()
    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, "*/pathlib*")])
    return sum(one.size for one in snapshot.traces)


def test_memory_is_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracemalloc.start()
    try:
        day = Day(tmp_path, 7, monkeypatch)
        day.pass_time(2 * HOUR)
        early = traced()
        day.pass_time(24 * HOUR)
        late = traced()
    finally:
        tracemalloc.stop()
    assert late - early < 64 * 1024, "a leak of 40 bytes a round would show"
