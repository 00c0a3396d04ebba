"""The agent as a service: what it goes on through, when it reads its configuration, how it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional, Union, cast

import pytest

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.node.agent import Agent
from bcm_jobstats.node.config import BadConfig, Config
from bcm_jobstats.node.loop import Loop, status
from bcm_jobstats.node.notify import Notify
from bcm_jobstats.node.outcome import Outcome
from bcm_jobstats.node.signals import Stop

BAD = BadConfig("config.json", "cannot be used", "mend it")
OUTCOME = Outcome(host="dgx-01", role="slurmclient", has=True, since=0.0, wait=45.0)


class Told(Notify):
    """systemd."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def _tell(self, *lines: str) -> None:
        self.lines.append(" ".join(lines))


@dataclass
class World:
    """Time, signals and the configuration file. `script`: what happens in each wait, a signal or nothing; then Stop."""

    files: list[Union[Config, BadConfig]]
    """What is read, one after the other; the last one stays."""
    script: list[str] = field(default_factory=list)
    act: Callable[[str], Optional[Outcome]] = lambda what: OUTCOME
    now: float = 0.0
    waits: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    ignored: bool = False
    hung_up: bool = False

    def begin(self) -> None:
        pass

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        if not self.script:
            raise Stop
        self.hung_up = self.script.pop(0) == "hup"

    def asked_to_reload(self) -> bool:
        hung_up, self.hung_up = self.hung_up, False
        return hung_up

    def ignore(self) -> None:
        self.ignored = True

    def load(self) -> Config:
        found = self.files.pop(0) if len(self.files) > 1 else self.files[0]
        if isinstance(found, BadConfig):
            raise found
        return found

    def make(self, config: Config, former: Optional[Agent]) -> Agent:
        self.done.append(f"made {config.role}{'' if former is None else ' after another'}")
        return cast(Agent, FakeAgent(self))

    def run(self, feeding: float = 100.0) -> Told:
        told = Told()
        Loop(
            self.load,
            self.make,
            self,
            notify=told,
            say=lambda priority, line: self.said.append(f"<{priority}>{line}"),
            feeding=feeding,
            monotonic=lambda: self.now,
        ).run()
        return told


class FakeAgent:
    """What is asked of the agent is noted; what it gives is the world's."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Callable[[], Any]:
        def act() -> Optional[Outcome]:
            self._world.done.append(name)
            return self._world.act(name)

        return act


def test_it_starts_up_goes_round_and_withdraws() -> None:
    world = World([Config()], ["", ""])
    told = world.run()
    assert world.done == ["made slurmclient", "start_up", "cycle", "cycle", "withdraw"]
    assert world.waits == [45.0] * 3
    assert told.lines[0].startswith("READY=1") and told.lines[-1].startswith("STOPPING=1")
    assert world.ignored and world.said == []


def test_a_bad_configuration_is_told_once_and_read_again_until_it_is_sound() -> None:
    world = World([BAD, BAD, BAD, Config()], ["", "", ""])
    told = world.run()
    assert world.said == ["<3>config.json: cannot be used; mend it", "<5>the configuration is sound again"]
    assert world.done == ["made slurmclient", "start_up", "withdraw"]
    assert world.waits[:3] == [Config().check_interval] * 3
    assert "no sound configuration: config.json: cannot be used" in " ".join(told.lines)
    assert told.lines[0].startswith("READY=1"), "it is up, and says what it lacks"


def test_told_to_stop_before_it_began_it_withdraws_all_the_same() -> None:
    """A target may be there of an agent that was killed."""

    class Stopped(World):
        def load(self) -> Config:
            if not self.ignored:
                raise Stop
            return super().load()

    world = Stopped([Config()])
    told = world.run()
    assert world.done == ["made slurmclient", "withdraw"]
    assert "READY" not in " ".join(told.lines)


def test_it_is_ready_once_it_has_read_its_configuration() -> None:
    told = Told()

    def load() -> Config:
        assert told.lines == []
        raise Stop if world.done else BAD

    world = World([Config()])
    Loop(load, world.make, world, notify=told, say=lambda *_: world.done.append("said"), feeding=9.0).run()
    assert told.lines[0].startswith("READY=1")


def test_a_configuration_that_is_read_in_an_unforeseen_way_does_not_end_it() -> None:
    class Odd(World):
        def load(self) -> Config:
            if not self.waits:
                raise UnicodeError("x")
            return super().load()

    world = Odd([Config()], [""])
    world.run()
    assert world.done == ["made slurmclient", "start_up", "withdraw"]
    assert len(world.said) == 1 and "UnicodeError" in world.said[0]


def test_a_bad_configuration_from_the_start_ends_as_quietly() -> None:
    world = World([BAD])
    world.run()
    assert world.done == []


def test_hanging_up_has_it_read_again_at_once() -> None:
    world = World([Config(), Config(role="login")], ["", "hup", ""])
    world.run()
    made = ["made slurmclient", "start_up", "cycle", "hurry", "made login after another"]
    assert world.done == [*made, "cycle", "cycle", "withdraw"], "BCM is asked at once"


def test_a_key_that_means_nothing_makes_no_new_agent() -> None:
    world = World([Config(), Config(warnings=("'rolle': is not a setting",))], ["", "hup", ""])
    world.run()
    assert world.done == ["made slurmclient", "start_up", "cycle", "hurry", "cycle", "cycle", "withdraw"]


def test_what_is_read_again_and_not_sound_changes_nothing() -> None:
    world = World([Config(), BAD, BAD, Config()], ["hup", "", ""])
    world.run()
    assert world.done == ["made slurmclient", "start_up", "hurry", "cycle", "cycle", "cycle", "withdraw"]
    assert world.said == [
        "<3>config.json: cannot be used; mend it; the one read before goes on being used",
        "<5>the configuration is sound again",
    ]


def test_the_watchdog_is_fed_while_it_waits() -> None:
    world = World([Config()], [""] * 4)
    told = world.run(feeding=20.0)
    assert world.waits == [20.0, 20.0, 5.0, 20.0, 20.0]
    assert sum("WATCHDOG=1" in line for line in told.lines) >= 5


@pytest.mark.parametrize("error", [ValueError("x"), MemoryError(), JobstatsError("a", "b")])
def test_an_error_of_its_own_ends_the_round_and_not_the_service(error: Exception) -> None:
    def act(what: str) -> Outcome:
        if what in ("start_up", "withdraw"):
            raise error
        return OUTCOME

    world = World([Config(check_interval=9.0)], [""], act)
    world.run()
    assert world.done == ["made slurmclient", "start_up", "cycle", "withdraw"]
    assert world.waits == [9.0, 45.0]
    assert len(world.said) == 2
    if not isinstance(error, JobstatsError):
        assert str(Path(__file__)) in world.said[0], "where it happened"


def test_stop_is_heard_in_the_middle_of_a_round() -> None:
    def act(what: str) -> Outcome:
        if what == "cycle":
            raise Stop
        return OUTCOME

    world = World([Config()], [""] * 5, act)
    world.run()
    assert world.done == ["made slurmclient", "start_up", "cycle", "withdraw"]


def test_a_round_fits_on_a_line_of_systemctl_status() -> None:
    services = {"a": "active", "b": "failed"}
    outcome = Outcome(
        "x", "slurmclient", None, None, 1.0, None, services, {"x.json": True}, (), (JobstatsError("a", "b"),)
    )
    assert status(outcome) == "role slurmclient: unknown; 1 of 2 services run; 1 target files; 1 problems, see the log"
