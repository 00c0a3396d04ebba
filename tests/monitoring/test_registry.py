"""The targets directory: whose a file is, what `sync` does with it, and the one file of all registrations."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.monitoring import compact, registry
from bcm_jobstats.monitoring.registry import Bounded, StorageHangs, read, target_files
from bcm_jobstats.monitoring.targets import registrations
from tests.monitoring.directory import Registered, cluster_of, content, entries


@pytest.fixture
def shared(tmp_path: Path) -> Registered:
    return Registered(tmp_path, cluster_of(2, 1))


PDU = [{"targets": ["pdu1:161"], "labels": {"job": "snmp"}}]
STATES = {
    "ours": ("n1.json", content("n1"), "ok"),
    "ours, of another role": ("n1+dcgm-exporter.json", content("n1"), "stale"),
    "ours, other bytes": ("n1.json", content("n1").replace(b"9100", b"9101"), "damaged"),
    "ours, cut off": ("n1.json", content("n1")[:40], "damaged"),
    "ours, empty": ("n1.json", b"", "damaged"),
    "ours, unlabelled": ("n1.json", b'[{"targets": ["n1:9100"]}]', "damaged"),
    "ours, no group": ("n1.json", b"[]", "damaged"),
    "without the role": ("i1.json", content("i1"), "stale"),
    "not in BCM": ("gone.json", content("gone"), "stale"),
    "of another cluster": ("x9.json", content("x9", "other"), "of other"),
    "of another cluster, our node's name": ("n1.json", content("n1", "other"), "of other"),
    "an administrator's": ("pdu1.json", json.dumps(PDU).encode(), "foreign"),
    "an administrator's, with our label": (
        "pdu1.json", b'[{"targets": ["pdu1:161"], "labels": {"job": "snmp", "cluster": "slurm"}}]', "foreign",
    ),
    "an administrator's, broken": ("list.json", b"[", "foreign"),
    "nesting without end": ("deep.json", b"[" * 100_000, "foreign"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text", "state"), STATES.values(), ids=STATES)
def test_what_a_file_is_and_what_sync_makes_of_it(shared: Registered, name: str, text: bytes, state: str) -> None:
    file = shared.write(name, text)
    (listed,) = shared.targets.listed(shared.cluster)
    assert (listed.path, listed.state) == (file, state)
    wrong = shared.targets.sync(shared.cluster)
    assert [one.state for one in wrong] == ([state] if state in {"stale", "damaged"} else [])
    if state == "stale":
        assert not file.exists()
    else:
        assert file.read_bytes() == (content("n1") if state == "damaged" else text)
    ours = registrations(shared.path, "slurm", shared.targets.nodes)
    assert list(ours.values()) == ([file] if state in {"ok", "damaged"} else [])


def test_sync_leaves_nothing_unfinished_and_does_not_rewrite_what_is_right(shared: Registered) -> None:
    shared.register("n1")
    shared.write("n2.json", b"x")
    before = (shared.path / "n1.json").stat()
    shared.targets.sync(shared.cluster)
    assert (shared.path / "n1.json").stat() == before
    assert list(shared.staging.iterdir()) == []


def test_carriers_of_the_role_monitor_are_those_of_the_followed_role(tmp_path: Path) -> None:
    followed = Registered(tmp_path, cluster_of(2, 1), "enable: {mode: role-monitor}")
    assert followed.targets.carriers(followed.cluster) == {"jobstats": {"n1", "n2"}}
    followed.register("n1", "i1")
    assert {one.node: one.state for one in followed.targets.listed(followed.cluster)} == {"n1": "ok", "i1": "stale"}


FAULTS = {
    "not a list": (b'{"targets": []}', "must be a list"),
    "not JSON": (b"[{", "not a list of targets"),
    "targets no texts": (b'[{"targets": [1]}]', "texts"),
    "labels no texts": (b'[{"targets": ["a:1"], "labels": {"job": 1}}]', "texts"),
    "another key": (b'[{"targets": ["a:1"], "label": {}}]', "alone"),
    "odd label": (b'[{"targets": ["a:1"], "labels": {"a-b": "x"}}]', "'a-b'"),
    "not UTF-8": (b'["\xff"]', "not a list of targets"),
}


@pytest.mark.parametrize(("text", "word"), FAULTS.values(), ids=FAULTS)
def test_what_prometheus_would_not_take_is_named(tmp_path: Path, text: bytes, word: str) -> None:
    (tmp_path / "a.json").write_bytes(text)
    file = read(tmp_path / "a.json")
    assert word in file.fault and file.groups == ()


def test_a_file_that_is_none_or_too_large_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    with (tmp_path / "large.json").open("wb") as stream:
        stream.truncate(registry.LARGEST + 1)
    (tmp_path / "nowhere.json").symlink_to("missing")
    faults = {file.path.name: file.fault for file in target_files(tmp_path)}
    assert "not a file" in faults["folder.json"] and "larger" in faults["large.json"]
    assert "cannot be read" in faults["nowhere.json"]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Until it is set, shared storage does not answer."""
    event = threading.Event()
    monkeypatch.setattr(registry, "PATIENCE", 0.05)

    def paths(directory: Path) -> list[Path]:
        event.wait(60)
        return []

    monkeypatch.setattr(registry, "paths", paths)
    yield event
    event.set()


def test_a_directory_that_hangs_is_an_error_in_time(shared: Registered, held: threading.Event) -> None:
    with pytest.raises(StorageHangs, match="did not answer") as caught:
        shared.targets.listed(shared.cluster)
    assert str(shared.path) in str(caught.value)
    assert not held.is_set()


def test_while_one_look_hangs_no_second_one_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "PATIENCE", 0.05)
    begun, go = [], threading.Event()

    def look() -> int:
        begun.append(1)
        go.wait(60)
        return len(begun)

    bounded = Bounded(Path("/x"), look)
    for _ in range(3):
        with pytest.raises(StorageHangs):
            bounded()
    assert len(begun) == 1
    go.set()
    monkeypatch.setattr(registry, "PATIENCE", 60.0)
    assert bounded() in {1, 2}
    assert bounded() in {2, 3}


def test_the_one_file_has_a_group_for_each_set_of_labels(tmp_path: Path) -> None:
    site = Registered(tmp_path, cluster_of(2), "targets: {read: compact, directory: /shared/targets}")
    site.register("n1", "n2")
    site.write("x9.json", content("x9", "other"))
    site.write("pdus.json", json.dumps([*PDU, {"targets": ["pdu2:161"], "labels": {"job": "snmp"}}]).encode())
    site.write("broken.json", b"[")
    assert site.targets.compacted()
    groups = json.loads(site.targets.compact.read_bytes())
    labels = [json.dumps(group["labels"], sort_keys=True) for group in groups]
    assert len(set(labels)) == len(labels) == 3 * 3 + 1
    assert {"targets": ["pdu1:161", "pdu2:161"], "labels": {"job": "snmp"}} in groups
    assert all(entry in groups for host, name in (("n1", "slurm"), ("x9", "other")) for entry in entries(host, name))
    assert site.targets.compact.parent == site.path.parent, "outside of what Prometheus' glob finds"
    written = site.targets.compact.stat()
    assert not site.targets.compacted()
    assert site.targets.compact.stat() == written
    assert list(site.staging.iterdir()) == []


def test_without_compact_or_a_directory_there_is_no_one_file(shared: Registered, tmp_path: Path) -> None:
    shared.register("n1")
    assert not shared.targets.compacted() and not shared.targets.compact.exists()
    gone = Registered(tmp_path / "other", cluster_of(1), "targets: {read: compact}")
    gone.path.rmdir()
    assert not gone.targets.compacted(), "a directory that is not mounted must not empty Prometheus"


def test_of_no_groups_the_text_is_a_list_too() -> None:
    assert json.loads(compact.text([])) == []
