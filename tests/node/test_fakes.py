"""The fakes behave as the real ones: one script, both sides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bcm_jobstats.node.ports import (
    NoFolder,
    NotListed,
    Registry,
    Roles,
    Services,
    ServicesLost,
    StorageLost,
    Unknown,
)
from bcm_jobstats.node.storage import Storage
from bcm_jobstats.node.targetfiles import TargetFiles
from tests.node.fakes import NEVER, FakeRegistry, FakeRoles, FakeServices


def registry_script(registry: Registry) -> list[object]:
    return [
        registry.read("a.json"),
        registry.remove("a.json"),
        registry.put("a.json", b"1"),
        registry.put("a.json", b"1"),
        registry.read("a.json"),
        registry.put("a.json", b"2"),
        registry.put("a+b.json", b"3"),
        registry.read("a.json"),
        registry.remove("a.json"),
        registry.remove("a.json"),
        registry.read("a.json"),
        registry.read("a+b.json"),
    ]


CALLS: list[Callable[[Registry], object]] = [
    lambda registry: registry.read("a.json"),
    lambda registry: registry.put("a.json", b"1"),
    lambda registry: registry.remove("a.json"),
]


def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "targets").mkdir()
    real = TargetFiles(tmp_path / "targets", Storage(30.0))
    fake = FakeRegistry()
    assert registry_script(real) == registry_script(fake)
    assert {path.name: path.read_bytes() for path in (tmp_path / "targets").iterdir()} == fake.files


@pytest.mark.parametrize("call", CALLS)
def test_a_directory_that_is_missing(tmp_path: Path, call: Callable[[Registry], object]) -> None:
    for registry in (TargetFiles(tmp_path / "none/x", Storage(30.0)), FakeRegistry(lost="is missing")):
        with pytest.raises(StorageLost) as caught:
            call(registry)
        assert not isinstance(caught.value, NoFolder)


@pytest.mark.parametrize("call", CALLS)
def test_a_directory_that_was_removed(tmp_path: Path, call: Callable[[Registry], object]) -> None:
    for registry in (TargetFiles(tmp_path / "none", Storage(30.0)), FakeRegistry(gone=True)):
        with pytest.raises(NoFolder):
            call(registry)


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "targets/a.json").mkdir(parents=True)
    for registry in (TargetFiles(tmp_path / "targets", Storage(30.0)), FakeRegistry(stuck={"a.json"})):
        assert registry.read("a.json") is None
        for call in CALLS[1:]:
            with pytest.raises(StorageLost, match="has a folder in the place"):
                call(registry)


def test_services() -> None:
    """What ports.Services says; test_systemd.py holds the real one to it."""
    fake: Services = FakeServices({"a": "inactive", "b": "failed", "c": "active"}, broken={"b"})
    assert fake.states(["a", "c", "x"]) == {"a": "inactive", "c": "active", "x": "missing"}
    fake.start(["a", "b", "x"])
    assert fake.states("abc") == {"a": "active", "b": "failed", "c": "active"}
    fake.stop(["a", "b", "x"])
    assert fake.states("abc") == {"a": "inactive", "b": "failed", "c": "active"}
    lost: Services = FakeServices({"a": "active"}, lost=True)
    for call in (lost.states, lost.start, lost.stop):
        with pytest.raises(ServicesLost):
            call(["a"])


def test_roles() -> None:
    fake: Roles = FakeRoles({"a": True, "b": False})
    assert fake.has("a", None)
    assert not fake.has("b", True)
    with pytest.raises(NotListed, match="does not list it"):
        fake.has("c", None)
    with pytest.raises(Unknown, match="does not answer"):
        FakeRoles({"a": True}, NEVER).has("a", None)
