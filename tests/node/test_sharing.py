"""The list of roles that agents share: written whole, believed when young and sound, and missed by nobody."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, TypeVar

import pytest

from bcm_jobstats.node.config import STAGING, Config
from bcm_jobstats.node.devices import Devices
from bcm_jobstats.node.heads import TOTAL
from bcm_jobstats.node.ports import StorageLost
from bcm_jobstats.node.sharing import LARGEST, MINE, NOBODYS, SPARE, STEP, THEIRS, Sharing
from bcm_jobstats.stack import targets
from tests.node.tlshead import directly

T = TypeVar("T")
NOW = 1_800_000_000.0
DEVICES = Devices({"a": True, "b": False, "twice": None})
ROLES = {"a": True, "b": False}
STALE = TOTAL + SPARE
"""With one head node."""


class Agent:
    """One agent's view of the shared storage below a folder, with a clock of its own."""

    def __init__(self, folder: Path, run: Any = directly, authority: str = "x", **config: Any) -> None:
        self.now, self.slept = NOW, list[float]()
        self.meanwhile: Callable[[], object] = lambda: None
        settings = Config(targets=folder / "targets", **config)
        self.sharing = Sharing(settings, run, lambda: self.now, self.sleep)
        self.sharing.among(authority)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.meanwhile()


@pytest.fixture
def agents(tmp_path: Path) -> tuple[Agent, Agent]:
    (tmp_path / STAGING).mkdir()
    return Agent(tmp_path), Agent(tmp_path)


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / STAGING).iterdir())


def aged(file: Path, age: float = 0.0) -> None:
    """The file server's clock is that of the agents."""
    os.utime(file, (NOW - age, NOW - age))


def test_the_folder_is_that_of_unfinished_targets() -> None:
    assert STAGING == targets.STAGING


def test_what_one_publishes_another_reads(agents: tuple[Agent, Agent], tmp_path: Path) -> None:
    one, other = agents
    assert other.sharing.read() is None
    assert one.sharing.claim() == MINE
    aged(files(tmp_path)[0])
    assert other.sharing.claim() == THEIRS
    one.sharing.publish("a", NOW, DEVICES)
    found = other.sharing.read()
    assert found and found.roles == ROLES and found.asked == NOW
    (file,) = files(tmp_path)
    assert json.loads(file.read_text()) == SOUND
    assert other.sharing.claim() == MINE, "it was let go"
    other.sharing.release()
    assert one.sharing.claim() == MINE


@pytest.mark.parametrize(
    ("took", "age", "fresh"),
    [(0.0, 0.0, True), (0.0, 5.9, True), (0.0, 6.0, False), (0.0, 60.0, False), (0.0, -0.9, True), (0.0, -1.0, False),
     (0.0, -3600.0, False), (3.0, 5.9, True), (3.0, 6.0, False), (7.0, 13.9, True), (7.0, 14.0, False),
     (39.0, 59.9, True), (39.0, 60.0, False)],
)  # fmt: skip
def test_a_list_is_young_for_a_tenth_of_the_interval_or_twice_what_the_answer_took(
    agents: tuple[Agent, Agent], took: float, age: float, fresh: bool
) -> None:
    """From when it was there, and never for longer than the interval. One of the future is of a clock not ours."""
    one, other = agents
    one.now = NOW - age
    one.sharing.publish("a", one.now - took, DEVICES)
    assert bool(other.sharing.read()) is fresh


SOUND: dict[str, Any] = {"format": 1, "asked": NOW, "took": 0.0, "host": "a", "with": ["a"], "without": ["b"]}
DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "cut": json.dumps(SOUND).encode()[:-5],
    "a list": b"[]",
    "deep": b"[" * 200_000,
    "no UTF-8": b'{"format":1,"asked":1e9,"host":"\xff"}',
    "another format": json.dumps({**SOUND, "format": 2}).encode(),
    "no time": json.dumps({**SOUND, "asked": "now"}).encode(),
    "NaN": json.dumps({**SOUND, "asked": float("nan")}).encode(),
    "too large a number": json.dumps({**SOUND, "asked": 10**400}).encode(),
    "true": json.dumps({**SOUND, "asked": True}).encode(),
    "no duration": json.dumps({key: value for key, value in SOUND.items() if key != "took"}).encode(),
    "a duration below nothing": json.dumps({**SOUND, "took": -5}).encode(),
    "larger than an agent has memory for": json.dumps(SOUND).encode() + b" " * LARGEST,
    "endless": json.dumps({**SOUND, "asked": float("inf")}).encode(),
    "no list of names": json.dumps({**SOUND, "with": "abc"}).encode(),
    "one part": json.dumps({"format": 1, "asked": NOW, "with": []}).encode(),
    "names of another kind": json.dumps({**SOUND, "with": [["a"]]}).encode(),
    "a name in both": json.dumps({**SOUND, "without": ["a"]}).encode(),
    "a name twice": json.dumps({**SOUND, "with": ["a", "a"]}).encode(),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_list_is_none(agents: tuple[Agent, Agent], tmp_path: Path, name: str) -> None:
    one, other = agents
    one.sharing.publish("a", NOW, DEVICES)
    (file,) = files(tmp_path)
    file.write_bytes(DAMAGED[name])
    assert other.sharing.read() is None
    other.sharing.publish("b", NOW, DEVICES)
    assert one.sharing.read()


def special(file: Path, kind: str) -> None:
    elsewhere = file.parent.parent / "elsewhere"
    elsewhere.write_bytes(file.read_bytes())
    file.unlink()
    if kind == "link":
        file.symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.mkdir()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_plain_file_is_not_read(agents: tuple[Agent, Agent], tmp_path: Path, kind: str) -> None:
    one, other = agents
    one.sharing.publish("a", NOW, DEVICES)
    (file,) = files(tmp_path)
    special(file, kind)
    assert other.sharing.read() is None


@pytest.mark.parametrize("left", ["a link", "an old file"])
def test_what_is_left_at_the_place_of_the_new_list_is_replaced(
    agents: tuple[Agent, Agent], tmp_path: Path, left: str
) -> None:
    one, other = agents
    one.sharing.publish("a", NOW, DEVICES)
    (file,) = files(tmp_path)
    (tmp_path / "kept").write_text("kept")
    new = file.with_suffix(".a")
    if left == "a link":
        new.symlink_to(tmp_path / "kept")
    else:
        new.write_text("half a li")
    one.now = other.now = NOW + 1
    one.sharing.publish("a", NOW + 1, DEVICES)
    found = other.sharing.read()
    assert found and found.asked == NOW + 1
    assert (tmp_path / "kept").read_text() == "kept" and files(tmp_path) == [file]


def test_who_died_while_asking_is_followed(agents: tuple[Agent, Agent], tmp_path: Path) -> None:
    one, other = agents
    one.sharing.claim()
    (lock,) = files(tmp_path)
    for age, whose in ((0.0, THEIRS), (STALE - 1, THEIRS), (STALE, MINE), (STALE - 1, THEIRS), (-STALE, MINE)):
        aged(lock, age)
        assert other.sharing.claim() == whose


@pytest.mark.parametrize("heads", [("a",), ("a", "b")])
def test_nobody_is_taken_to_have_died_who_may_still_be_asking(tmp_path: Path, heads: tuple[str, ...]) -> None:
    agent = Agent(tmp_path, heads=heads)
    agent.sharing.claim()
    (lock,) = files(tmp_path)
    aged(lock, len(heads) * TOTAL)
    assert agent.sharing.claim() == THEIRS


def test_a_list_that_nobody_could_read_is_not_written(agents: tuple[Agent, Agent], tmp_path: Path) -> None:
    one, _ = agents
    one.sharing.claim()
    one.sharing.publish("a", NOW, Devices({f"n{number:060}": True for number in range(17_000)}))
    assert files(tmp_path) == [], "it was let go all the same"


def test_another_ones_list_is_waited_for(agents: tuple[Agent, Agent]) -> None:
    one, other = agents
    one.sharing.claim()
    other.meanwhile = lambda: one.sharing.publish("a", NOW, DEVICES) if len(other.slept) == 3 else None
    found = other.sharing.wait(NOW + 60)
    assert found and found.roles == ROLES
    assert other.slept == [STEP] * 3


@pytest.mark.parametrize(("until", "steps"), [(60.0, 12), (1.0, 4), (0.2, 0), (-5.0, 0)])
def test_it_is_waited_for_no_longer_than_until_then_and_three_seconds(
    agents: tuple[Agent, Agent], tmp_path: Path, until: float, steps: int
) -> None:
    one, other = agents
    one.sharing.claim()
    (lock,) = files(tmp_path)
    aged(lock)
    assert other.sharing.wait(NOW + until) is None
    assert other.slept == [STEP] * steps


def test_nobody_is_waited_for_who_failed(agents: tuple[Agent, Agent]) -> None:
    one, other = agents
    one.sharing.claim()
    other.meanwhile = one.sharing.release
    assert other.sharing.wait(NOW + 60) is None
    assert other.slept == [STEP]


@pytest.mark.parametrize("differing", [{"heads": ("other",)}, {"port": 1}, {"role": "x"}, {"cluster": "x"},
                                       {"authority": "y"}], ids=str)  # fmt: skip
def test_only_those_share_who_ask_the_same(tmp_path: Path, differing: dict[str, Any]) -> None:
    """Heads of two clusters on one storage may well have one name: their authorities differ."""
    (tmp_path / STAGING).mkdir()
    Agent(tmp_path, **differing).sharing.publish("a", NOW, DEVICES)
    assert Agent(tmp_path).sharing.read() is None
    assert Agent(tmp_path, **differing).sharing.read()


def lost(what: str, function: Callable[[], T]) -> T:
    raise StorageLost(what, "does not answer")


def nowhere(tmp_path: Path) -> Iterator[Agent]:
    """Agents whose storage is out of order."""
    (tmp_path / "file").touch()
    yield Agent(tmp_path, lost)
    yield Agent(tmp_path / "not mounted")
    yield Agent(tmp_path / "file")


def test_trouble_with_storage_is_no_list_and_no_error(tmp_path: Path) -> None:
    for agent in nowhere(tmp_path):
        assert agent.sharing.read() is None
        assert agent.sharing.claim() == NOBODYS
        assert agent.sharing.wait(NOW + 60) is None
        agent.sharing.publish("a", NOW, DEVICES)
        agent.sharing.release()
    assert not (tmp_path / "not mounted").exists(), "nothing is made where storage is not mounted"


def test_the_folder_is_made_where_storage_is_there(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    assert agent.sharing.claim() == MINE
    agent.sharing.publish("a", NOW, DEVICES)
    assert agent.sharing.read()
