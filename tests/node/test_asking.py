"""What an agent takes from the others' list, and what it asks BCM for itself."""

from __future__ import annotations

import heapq
import json
import os
import random
import threading
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

import pytest

from bcm_jobstats.node.agent import LATEST, SOONEST
from bcm_jobstats.node.asking import SHARE, BcmRoles
from bcm_jobstats.node.config import STAGING
from bcm_jobstats.node.devices import Devices
from bcm_jobstats.node.ports import StorageLost, Unknown
from bcm_jobstats.node.sharing import FRESH, Sharing
from tests.bcm.https import Server, text
from tests.node.tlshead import config, directly, listed, port, says

T = TypeVar("T")
INTERVAL = 60.0


class World:
    """Agents of one cluster: one head node, one storage, one clock."""

    def __init__(self, files: Path, folder: Path, server: Server) -> None:
        self.files, self.folder, self.server = files, folder, server
        self.now = 1_800_000_000.0
        self.slept = 0.0
        self.chance: Callable[[float, float], float] = lambda low, high: high - 1
        self.tell(a=["slurmclient"], b=[])

    def tell(self, **roles: list[str]) -> None:
        """BCM's list from now on."""
        self.server.says(says(listed(**roles)))

    @property
    def asked(self) -> int:
        """How often BCM was asked since this was last looked at."""
        count = len(self.server.asked)
        self.server.asked.clear()
        return count

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds

    def agent(self, run: Any = directly, **more: Any) -> BcmRoles:
        more = {"share": True, "check_interval": INTERVAL, "targets": self.folder / "targets", **more}
        settings = config(self.files, port(self.server), **more)
        return BcmRoles(settings, run, lambda: self.now, self.sleep, chance=self.chance)

    def running(self, count: int, host: str = "a", known: bool = True) -> list[BcmRoles]:
        """Agents that asked before."""
        agents = [self.agent() for _ in range(count)]
        for agent in agents:
            assert agent.has(host, None) is known
        assert self.asked == count
        return agents

    def lists(self) -> list[Path]:
        return sorted((self.folder / STAGING).glob("*.json"))


@pytest.fixture
def world(files: Path, tmp_path: Path, listening: Server) -> World:
    (tmp_path / STAGING).mkdir()
    return World(files, tmp_path, listening)


def test_a_change_is_seen_within_the_interval() -> None:
    """The list before it, the longest wait for the next round, and the pause before the second question."""
    assert FRESH + LATEST + SHARE <= 1


def test_who_knows_nothing_asks_bcm(world: World) -> None:
    for host, has in (("a", True), ("b", False)):
        assert world.agent().has(host, None) is has
        assert world.asked == 1


def test_one_asks_for_all(world: World) -> None:
    agents = world.running(20)
    for _ in range(3):
        world.now += INTERVAL
        assert all(agent.has("a", True) for agent in agents)
        assert world.asked == 1


def test_a_list_is_not_gone_by_for_longer_than_a_tenth_of_the_interval(world: World) -> None:
    agents = world.running(2)
    agents[0].has("a", True)
    world.now += INTERVAL / 10
    agents[1].has("a", True)
    assert world.asked == 2


@pytest.mark.parametrize("has", [True, False])
def test_a_change_is_bcms_own_answer(world: World, has: bool) -> None:
    """The list says so, and BCM is asked all the same; twice whether the role is gone."""
    agents = world.running(3)
    world.tell(a=["slurmclient"] if has else [], b=[])
    assert [agent.has("a", not has) for agent in agents] == [has] * 3
    assert world.asked == (3 if has else 6)


@pytest.mark.parametrize(("interval", "pause"), [(600.0, 5.0), (20.0, 1.0)])
@pytest.mark.parametrize("share", [True, False])
def test_a_cmdaemon_that_does_not_know_all_roles_yet_takes_none(
    world: World, interval: float, pause: float, share: bool
) -> None:
    """One that has just started: only the head node has roles. Others are not told of it either."""
    (agent, other) = (world.agent(check_interval=interval, share=share) for _ in range(2))
    for each in (agent, other):
        each.has("a", None)
    assert world.asked == 2
    world.server.says(says(listed(a=[], b=[])), says(listed(a=["slurmclient"], b=[])))
    assert agent.has("a", True) is True
    assert world.asked == 2 and world.slept == pause
    assert other.has("a", True) is True
    assert world.asked == (0 if share else 1)


def test_bcm_that_falls_silent_after_it_took_a_role_takes_none(world: World) -> None:
    (agent,) = world.running(1)
    world.server.says(says(listed(a=[], b=[])), text(b"", 503))
    with pytest.raises(Unknown, match="503"):
        agent.has("a", True)
    assert [file.suffix for file in (world.folder / STAGING).iterdir()] == []


@pytest.mark.parametrize("has", [True, False])
def test_a_list_that_is_stuck_keeps_a_change_away_for_25_answers_at_most(world: World, has: bool) -> None:
    """It may be forged, or its clock: it agrees with what is known and is always young."""
    agents = world.running(2)
    agents[0].has("a", True)
    (file,) = world.lists()
    told = json.loads(file.read_text())
    having, lacking = (["b"], ["a"]) if has else (["a"], ["b"])
    file.write_text(json.dumps({**told, "with": having, "without": lacking}))
    world.tell(a=["slurmclient"] if has else [], b=[])
    answers = []
    for _ in range(26):
        answers.append(agents[1].has("a", not has))
        world.now += INTERVAL
        file.write_text(json.dumps({**told, "asked": world.now, "with": having, "without": lacking}))
    assert has in answers


def test_who_asks_by_itself_does_so_for_all(world: World) -> None:
    agents = world.running(2)
    for _ in range(1 + 25):
        agents[0].has("a", True)
    assert world.asked == 1
    world.now += 4
    agents[0].has("a", True)
    world.now += 4
    agents[1].has("a", True)
    assert world.asked == 1, "the list is four seconds old again"


def test_a_forged_list_changes_nothing(world: World) -> None:
    agents = world.running(2)
    agents[0].has("a", True)
    (file,) = world.lists()
    told = json.loads(file.read_text())
    file.write_text(json.dumps({**told, "with": [], "without": ["a", "b"]}))
    assert agents[1].has("a", True) is True
    assert world.asked == 2


def test_who_is_not_in_the_list_asks_bcm(world: World) -> None:
    agents = world.running(2)
    agents[0].has("a", True)
    world.tell(a=["slurmclient"], b=[], c=["slurmclient"])
    assert agents[1].has("c", True) is True
    assert world.asked == 1


def test_nobody_is_told_of_a_node_that_is_listed_twice(world: World) -> None:
    agents = world.running(2)
    twice = [*listed(a=["slurmclient"]), {"hostname": "A.x"}]
    world.server.says(says(twice))
    for agent in agents:
        with pytest.raises(Unknown, match="twice"):
            agent.has("a", True)


def test_bcms_silence_is_everybodys(world: World) -> None:
    """Who asked for all lets go: the next one tries at once, and nobody goes by a list that is old."""
    agents = world.running(3)
    agents[0].has("a", True)
    world.now += INTERVAL
    world.server.says(text(b"", 503))
    for agent in agents:
        with pytest.raises(Unknown, match="HTTP status 503"):
            agent.has("a", True)
    assert world.asked == 3 and world.slept == 0
    assert [file.suffix for file in (world.folder / STAGING).iterdir()] == [".json"]


@pytest.mark.parametrize(("age", "asked"), [(0.9, 0), (1.1, 1)])
def test_who_waits_in_vain_goes_by_the_list_before_for_an_interval(world: World, age: float, asked: int) -> None:
    """Somebody asks a slow BCM: asking it, too, would make it slower."""
    agent, other = world.running(2)
    other.has("a", True)
    (file,) = world.lists()
    world.now += INTERVAL * age - 3
    assert agent.has("a", None) and world.asked == 2
    lock = file.with_suffix(".lock")
    lock.touch()
    os.utime(lock, (world.now, world.now))
    assert agent.has("a", True) is True
    assert world.slept == 3.0 and world.asked == asked
    assert lock.exists(), "it is another one's"


def test_who_waits_in_vain_asks_bcm_where_there_was_no_list(world: World) -> None:
    (agent,) = world.running(1)
    agent.has("a", True)
    (file,) = world.lists()
    file.unlink()
    lock = file.with_suffix(".lock")
    lock.touch()
    os.utime(lock, (world.now, world.now))
    assert world.asked == 1
    assert agent.has("a", True) is True
    assert world.slept == 3.0 and world.asked == 1


class Time:
    """A clock for agents that run at the same time, in threads: one of them runs at a time, and who sleeps hands over
    to whoever wakes first."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self._sleeping: list[tuple[float, int, threading.Event]] = []
        self._count, self.over = 0, threading.Event()

    def sleep(self, seconds: float) -> None:
        turn = self._turn(seconds)
        self.hand_over()
        turn.wait()

    def hand_over(self) -> None:
        if self._sleeping:
            self.now, _, turn = heapq.heappop(self._sleeping)
            turn.set()
        else:
            self.over.set()

    def start(self, work: Callable[[], None], later: float) -> None:
        turn = self._turn(later)

        def run() -> None:
            turn.wait()
            try:
                work()
            finally:
                self.hand_over()

        threading.Thread(target=run, daemon=True).start()

    def _turn(self, seconds: float) -> threading.Event:
        turn = threading.Event()
        self._count += 1
        heapq.heappush(self._sleeping, (self.now + seconds, self._count, turn))
        return turn


class SlowHeads:
    def __init__(self, clock: Time, takes: float, devices: Devices) -> None:
        self.clock, self.takes, self.devices = clock, takes, devices
        self.asked: list[float] = []

    def ask(self) -> Devices:
        self.asked.append(self.clock.now)
        self.clock.sleep(self.takes)
        return self.devices


@pytest.mark.parametrize("takes", [0.2, 2.0, 7.0, 15.0])
def test_a_slow_head_is_not_asked_by_everybody(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: float
) -> None:
    """Sixty agents for three intervals, after one in which each of them learns something of its own."""
    (tmp_path / STAGING).mkdir()
    clock, chance, hosts = Time(), random.Random(3), [f"n{number}" for number in range(60)]
    heads, begun, polls = SlowHeads(clock, takes, Devices(dict.fromkeys(hosts, True))), clock.now, [0, 0]
    settings = config(files, 1, share=True, check_interval=INTERVAL, targets=tmp_path / "targets")
    real = Sharing._create

    def create(file: Path, content: bytes = b"") -> None:
        real(file, content)
        os.utime(file, (clock.now, clock.now))

    monkeypatch.setattr(Sharing, "_create", staticmethod(create))

    def life(agent: BcmRoles, host: str) -> None:
        while clock.now < begun + 4 * INTERVAL:
            steady = clock.now >= begun + INTERVAL
            assert agent.has(host, True) is True
            polls[steady] += 1
            clock.sleep(chance.uniform(SOONEST, LATEST) * INTERVAL)

    for host in hosts:
        agent = BcmRoles(settings, directly, lambda: clock.now, clock.sleep, chance=chance.uniform)
        agent._tls.context()
        agent._heads = heads  # type: ignore[assignment]
        clock.start(lambda agent=agent, host=host: life(agent, host), chance.uniform(0, INTERVAL / 2))  # type: ignore[misc]
    clock.hand_over()
    assert clock.over.wait(60)
    steady = [asked for asked in heads.asked if asked >= begun + INTERVAL]
    assert len(steady) < polls[1] / 6


def test_nobody_waits_so_long_that_the_last_answer_gets_older_than_the_interval(world: World) -> None:
    (agent,) = world.running(1)
    agent.has("a", True)
    (file,) = world.lists()
    world.now += INTERVAL - 1
    lock = file.with_suffix(".lock")
    lock.touch()
    os.utime(lock, (world.now, world.now))
    assert agent.has("a", True) is True
    assert world.slept == 1.0


def test_another_ones_answer_is_as_old_as_its_question(world: World) -> None:
    agents = world.running(2)
    world.now += 30
    agents[0].has("a", True)
    world.now += 2
    agents[1].has("a", True)
    assert world.asked == 1
    (file,) = world.lists()
    world.now += INTERVAL - 2 - 2
    lock = file.with_suffix(".lock")
    lock.touch()
    os.utime(lock, (world.now, world.now))
    assert agents[1].has("a", True) is True
    assert world.slept == 2.0


def test_without_sharing_nothing_is_written_and_bcm_is_asked_each_time(world: World) -> None:
    agent = world.agent(share=False)
    for known in (None, True, True):
        assert agent.has("a", known) is True
        assert world.asked == 1
    assert list((world.folder / STAGING).iterdir()) == []


@pytest.mark.parametrize("hanging", ["hangs", "away", "read-only"])
def test_bcm_is_asked_while_storage_is_out_of_order(world: World, hanging: str) -> None:
    agents, broken = world.running(2), [False]

    def run(what: str, function: Callable[[], T]) -> T:
        if broken[0] and hanging == "hangs":
            raise StorageLost(what, "does not answer")
        return function()

    agent = world.agent(run)
    agent.has("a", None)
    broken[0] = True
    if hanging == "away":
        (world.folder / STAGING).rename(world.folder / "gone")
        world.folder = world.folder / "gone"
    elif hanging == "read-only":
        (world.folder / STAGING).rmdir()
        (world.folder / STAGING).touch()
    assert world.asked == 1
    for _ in range(2):
        assert agent.has("a", True) is True
    assert world.asked == (1 if hanging == "away" else 2)
    assert agents


def test_ten_minutes_of_forty_agents_with_changes_and_faults(world: World) -> None:
    """What an agent is told is what BCM said less than an interval before the end of its question, or nothing."""
    chance = random.Random(7)
    world.chance = chance.uniform
    hosts = [f"n{number}" for number in range(40)]
    agents = {host: world.agent() for host in hosts}
    known: dict[str, Optional[bool]] = dict.fromkeys(hosts)
    due = {host: world.now + chance.uniform(0, INTERVAL) for host in hosts}
    has, changed, down = dict.fromkeys(hosts, True), dict.fromkeys(hosts, 0.0), False
    ends, asked = world.now + 600, 0

    def tell() -> None:
        roles = {host: ["slurmclient"] if has[host] else [] for host in hosts}
        world.server.says(text(b"", 503) if down else says(listed(**roles)))

    tell()
    while world.now < ends:
        host = min(due, key=due.__getitem__)
        world.now = max(world.now, due[host])
        event = chance.random()
        if event < 0.02:
            flipped = chance.choice(hosts)
            has[flipped], changed[flipped] = not has[flipped], world.now
        elif event < 0.03:
            down = not down
        elif event < 0.04:
            for file in world.lists():
                file.write_bytes(os.urandom(50))
        if event < 0.03:
            asked += world.asked
            tell()
        try:
            told = agents[host].has(host, known[host])
        except Unknown:
            assert down
        else:
            # what is told is so now, or was so until less than an interval ago
            assert told is has[host] or world.now - changed[host] < INTERVAL
            known[host] = told
        due[host] = world.now + chance.uniform(SOONEST, LATEST) * INTERVAL
    assert asked + world.asked < 600 / INTERVAL * len(hosts)
