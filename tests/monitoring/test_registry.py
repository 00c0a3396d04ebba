"""The targets directory: whose a file is, what `sync` does with it, and the one file of all registrations."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.bcm.entities import NODE, Node, Place
from bcm_jobstats.monitoring import compact, registry
from bcm_jobstats.monitoring.live import Live
from bcm_jobstats.monitoring.registry import Bounded, NotListed, StorageHangs, read, target_files
from bcm_jobstats.monitoring.targets import Registration
from bcm_jobstats.monitoring.writing import NotWritten
from tests.monitoring.directory import UP, Registered, cluster_of, content, entries


def sync(shared: Registered) -> list[Registration]:
    return shared.targets.sync(shared.cluster, target_files(shared.path))


@pytest.fixture
def shared(tmp_path: Path) -> Registered:
    return Registered(tmp_path, cluster_of(2, 1))


PDU = [{"targets": ["pdu1:161"], "labels": {"job": "snmp"}}]


def by_hand(host: str) -> bytes:
    """How seed 4's document has an administrator add a node ("Can I manually add a node to Prometheus?")."""
    lines = ",\n".join(f"  {json.dumps(entry)}" for entry in entries(host))
    return f"[\n{lines}\n]\n".encode()


STATES = {
    "ours": ("n1.json", content("n1"), "ok"),
    "ours, of another role": ("n1+dcgm-exporter.json", content("n1"), "stale"),
    "ours, other bytes": ("n1.json", content("n1").replace(b"9100", b"9101"), "damaged"),
    "ours, cut off": ("n1.json", content("n1")[:40], "damaged"),
    "ours, empty": ("n1.json", b"", "damaged"),
    "ours, another port of it": ("i1.json", content("i1").replace(b"9100", b"9101"), "stale"),
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
    "seed 4's FAQ, a node that BCM does not know": ("test-node.json", by_hand("test-node"), "foreign"),
    "seed 4's FAQ, a node without the role": ("i1.json", by_hand("i1"), "foreign"),
    "seed 4's FAQ, a node with the role": ("n1.json", by_hand("n1"), "damaged"),
    "in our node's place, unlabelled": ("n1.json", b'[{"targets": ["n1:9100"]}]', "foreign"),
    "in our node's place, with a label": ("n1.json", content("n1").replace(b'"job"', b'"rack": "7", "job"'), "foreign"),
    "in our node's place, another job": ("n1.json", content("n1").replace(b"cgroup_exp", b"ipmi_exp"), "foreign"),
    "without the role, broken": ("i1.json", b"[", "foreign"),
    "without the role, another job": ("i1.json", content("i1").replace(b"cgroup_exp", b"ipmi_exp"), "foreign"),
    "of no role": ("i1+ipmi.json", content("i1"), "foreign"),
    "of no role, broken": ("n1+ipmi.json", b"[", "foreign"),
    "no name that a node gives": ("n1+.json", content("n1"), "foreign"),
    "nor that": ("n1+jobstats.json", content("n1"), "foreign"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text", "state"), STATES.values(), ids=STATES)
def test_what_a_file_is_and_what_sync_makes_of_it(shared: Registered, name: str, text: bytes, state: str) -> None:
    file = shared.write(name, text)
    (listed,) = shared.targets.listed(shared.cluster)
    assert (listed.path, listed.state) == (file, state)
    wrong = sync(shared)
    assert [one.state for one in wrong] == ([state] if state in {"stale", "damaged"} else [])
    if state == "stale":
        assert not file.exists()
    else:
        assert file.read_bytes() == (content("n1") if state == "damaged" else text)
    assert list(shared.targets.registered().values()) == ([file] if state in {"ok", "damaged"} else [])


CHANGES = {
    "written again": lambda file: file.write_bytes(content("n7")),
    "replaced by the same": lambda file: (file.with_suffix(".new").write_bytes(file.read_bytes()),
                                          file.with_suffix(".new").replace(file)),
    "withdrawn": lambda file: file.unlink(),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize(("name", "text"), [("i1.json", content("i1")), ("n1.json", b"[")], ids=["stale", "damaged"])
def test_a_file_whose_node_is_at_it_meanwhile_is_left_to_it(
    shared: Registered, name: str, text: bytes, change: Any
) -> None:
    file = shared.write(name, text)
    files = target_files(shared.path)
    change(file)
    after = file.read_bytes() if file.exists() else None
    assert shared.targets.sync(shared.cluster, files) == []
    assert (file.read_bytes() if file.exists() else None) == after


@pytest.mark.parametrize("spelt", ["dgx-7", "DGX-7"])
def test_a_node_with_capitals_in_bcm_is_the_one_that_registers_in_lower_case(tmp_path: Path, spelt: str) -> None:
    cluster = cluster_of(1)
    nodes = {**cluster.nodes, "DGX-7": Node("DGX-7", "PhysicalNode", status=UP)}
    cluster = replace(cluster, nodes=nodes, roles={**cluster.roles, Place(NODE, "DGX-7"): ("generic::jobstats",)})
    site = Registered(tmp_path, cluster)
    site.register("n1", spelt)
    assert {one.node: one.state for one in site.targets.listed(cluster)} == {"n1": "ok", "DGX-7": "ok"}
    assert ("DGX-7", "jobstats") in site.targets.registered()
    (site.path / f"{spelt}.json").write_bytes(b"[")
    assert [one.node for one in sync(site)] == ["DGX-7"]
    assert (site.path / f"{spelt}.json").read_bytes() == content(spelt)


def test_a_directory_that_cannot_be_listed_is_not_an_empty_one(
    shared: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(path: Path) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))

    shared.register("n1")
    monkeypatch.setattr("os.scandir", stale)
    for look in (lambda: shared.targets.listed(shared.cluster), shared.targets.registered, Live(shared.path).look):
        with pytest.raises(NotListed, match="Stale file handle"):
            look()


def test_what_stands_in_the_way_of_mending_is_named_with_its_remedy(shared: Registered) -> None:
    file = shared.write("n1.json", b"[")
    (shared.staging / ".n1.json.bcm-jobstats").mkdir()
    with pytest.raises(NotWritten, match=r"n1\.json\.bcm-jobstats: is a folder[^\n]*\n.*Move it away"):
        sync(shared)
    (shared.staging / ".n1.json.bcm-jobstats").rmdir()
    shared.staging.rmdir()
    with pytest.raises(NotWritten, match=r"prometheus-targets\.tmp: there is no such folder[^\n]*\n.*apply"):
        sync(shared)
    assert file.read_bytes() == b"["


def test_sync_leaves_nothing_unfinished_and_does_not_rewrite_what_is_right(shared: Registered) -> None:
    shared.register("n1")
    shared.write("n2.json", b"x")
    before = (shared.path / "n1.json").stat()
    sync(shared)
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
    "half a character": (b'[{"targets": ["a:1"], "labels": {"job": "\\ud800"}}]', "half of a character"),
    "half a character in an address": (b'[{"targets": ["a\\udfff:1"]}]', "half of a character"),
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
    assert site.targets.compact.name == "targets.slurm.compact.json", "none that another cluster makes"


def test_without_compact_or_a_directory_there_is_no_one_file(shared: Registered, tmp_path: Path) -> None:
    shared.register("n1")
    assert not shared.targets.compacted() and not shared.targets.compact.exists()
    gone = Registered(tmp_path / "other", cluster_of(1), "targets: {read: compact}")
    gone.path.rmdir()
    assert not gone.targets.compacted(), "a directory that is not mounted must not empty Prometheus"


def test_of_no_groups_the_text_is_a_list_too() -> None:
    assert json.loads(compact.text([])) == []
