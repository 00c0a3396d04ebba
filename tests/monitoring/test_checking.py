"""`targets check`: every finding with its file, cause and remedy, and none where nothing is wrong."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest

from bcm_jobstats.bcm.entities import NODE, Node, Place
from bcm_jobstats.monitoring.checking import Finding, findings
from tests.monitoring.directory import JOBS, Registered, cluster_of, content, entries

NOW = 2_000_000_000.0
"""Later than any file of a test, by more than LEFT_OVER."""


@pytest.fixture
def shared(tmp_path: Path) -> Registered:
    """Two nodes have the role and registered, i1 has not."""
    made = Registered(tmp_path, cluster_of(2, 1))
    made.register("n1", "n2")
    return made


def found(shared: Registered, now: float = NOW) -> list[Finding]:
    return findings(shared.targets, shared.cluster, now)


def test_nothing_is_found_where_all_is_well(shared: Registered) -> None:
    shared.write("x9.json", content("x9", "other"))
    shared.write("pdu1.json", b'[{"targets": ["pdu1:161", "[fe80::1]:161"], "labels": {"job": "snmp"}}]')
    (shared.staging / "roles-0a1b.json").write_text("{}")
    before = [(path, path.stat()) for path in sorted(shared.path.iterdir())]
    assert found(shared) == []
    assert [(path, path.stat()) for path in sorted(shared.path.iterdir())] == before


def changed(**change: Any) -> bytes:
    """The file of n1 with another first entry."""
    document = entries("n1")
    document[0].update(change)
    return json.dumps(document).encode()


def labelled(**labels: str) -> bytes:
    return changed(labels={**entries("n1")[0]["labels"], **labels})


WRONG = {
    "cut off": ("n1.json", b"[{", "invalid", "not a list of targets", "targets sync"),
    "port": ("n1.json", changed(targets=["n1:99999"]), "damaged", "port from 1 to 65535", "targets sync"),
    "no port": ("n1.json", changed(targets=["n1"]), "damaged", "not host:port", "targets sync"),
    "long name": ("n1.json", changed(targets=["n1.cm.cluster:9100"]), "damaged", "spelt n1", "targets sync"),
    "hostname": ("n1.json", labelled(hostname="n7"), "damaged", "label hostname 'n7'", "targets sync"),
    "no job": ("n1.json", labelled(job=""), "damaged", "no label job", "targets sync"),
    "other order": ("n1.json", changed(), "damaged", "differs from what the node writes", "targets sync"),
    "extra label": ("n1.json", labelled(rack="7"), "in-the-way", "is not that", "restart jobstats-target on n1"),
    "empty": ("n1.json", b"[]", "damaged", "no targets", "targets sync"),
    "unlabelled": ("n1.json", changed(labels={"job": "x"}), "in-the-way", "leaves it alone", "another name"),
    "no role": ("i1.json", content("i1"), "stale", "i1 has no role for jobstats", "targets sync"),
    "not in BCM": ("i7.json", content("i7"), "stale", "BCM knows no node i7", "targets sync"),
    "two clusters": ("i1.json", content("i1", "other"), "clash", "cluster other", "targets.directory"),
    "foreign, invalid": ("pdu.json", b"{}", "invalid", "must be a list", "by hand"),
    "foreign, port": ("pdu.json", b'[{"targets": ["pdu:0"]}]', "invalid", "'pdu:0'", "by hand"),
    "twice": (
        "more.json", b'[{"targets": ["n2:9100"], "labels": {"job": "node_exporter"}}]', "duplicate", "n2:9100 is in",
        "by hand",
    ),
    "two jobs, one port": (
        "own.json", b'[{"targets": ["n2:9306"], "labels": {"job": "mine"}}]', "port-clash", "job cgroup_exporter",
        "exporters.NAME.port",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text", "kind", "cause", "remedy"), WRONG.values(), ids=WRONG)
def test_every_fault_is_one_line_with_cause_and_remedy(
    shared: Registered, name: str, text: bytes, kind: str, cause: str, remedy: str
) -> None:
    file = shared.write(name, text)
    some = [one for one in found(shared) if one.kind == kind]
    assert [one.file for one in some] == [str(file)]
    assert cause in some[0].cause and remedy in some[0].remedy
    assert "\n" not in str(some[0])


@pytest.mark.parametrize("status", ["[   UP   ]", "[  DOWN  ]", ""])
def test_a_node_with_the_role_that_did_not_register_is_missing(tmp_path: Path, status: str) -> None:
    late = Node("late", "PhysicalNode", "dgx", status=status)
    head = Node("head", "HeadNode", status=status)
    shared = Registered(tmp_path, cluster_of(1, late=late, head=head))
    shared.register("n1")
    roles = dict.fromkeys((Place(NODE, name) for name in ("n1", "late", "head")), ("generic::jobstats",))
    shared.cluster = replace(shared.cluster, roles=roles)
    (missing,) = found(shared)
    assert (missing.kind, missing.file) == ("missing", str(shared.path / "late.json"))
    assert ("and is" in missing.cause) == ("UP" not in status)


def test_an_unfinished_file_is_a_leftover_when_it_is_old(shared: Registered) -> None:
    left = shared.staging / "n1.4711"
    left.write_text("[")
    os.utime(left, (NOW - 3600, NOW - 3600))
    (fresh := shared.staging / "n2.4712").write_text("[")
    os.utime(fresh, (NOW - 1, NOW - 1))
    (one,) = found(shared)
    assert (one.kind, one.file, one.remedy) == ("leftover", str(left), f"rm {left}")
    assert "60 minutes" in one.cause


@pytest.mark.parametrize(("read", "kinds"), [("files", ["compact"]), ("compact", [])])
def test_the_one_file_is_told_of_when_prometheus_is_to_read_another(
    tmp_path: Path, read: str, kinds: list[str]
) -> None:
    site = Registered(tmp_path, cluster_of(1), f"targets: {{read: {read}}}")
    site.register("n1")
    site.targets.compact.write_text("[]")
    assert [one.kind for one in found(site)] == kinds


def test_a_file_with_nearly_the_name_does_not_stand_for_the_node(shared: Registered) -> None:
    (shared.path / "n1.json").rename(shared.path / "n1+jobstats.json")
    assert [one.kind for one in found(shared)] == ["missing"]


MODES = {
    "everybody writes": (0o777, "everybody may write"),
    "Prometheus cannot read": (0o700, "cannot read"),
    "as it should be": (0o755, None),
}


@pytest.mark.parametrize("folder", ["path", "staging"])
@pytest.mark.parametrize(("mode", "cause"), MODES.values(), ids=MODES)
def test_who_may_write_and_read(shared: Registered, folder: str, mode: int, cause: Optional[str]) -> None:
    where: Path = getattr(shared, folder)
    where.chmod(mode)
    some = found(shared)
    where.chmod(0o755)
    assert [(one.kind, one.file) for one in some] == ([("permissions", str(where))] if cause else [])
    assert all(str(cause) in one.cause and f"chmod 755 {where}" in one.remedy for one in some)


def test_a_directory_of_another_user_and_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    shared = Registered(tmp_path, cluster_of(1), uid=999)
    shared.register("n1")
    (shared.path / "n1.json").chmod(0o600)
    some = {(one.kind, one.file): one for one in found(shared)}
    assert set(some) == {("permissions", str(p)) for p in (shared.path, shared.staging, shared.path / "n1.json")}
    assert "999" in some["permissions", str(shared.path)].remedy


def test_without_a_directory_that_alone_is_told(shared: Registered) -> None:
    for path in shared.path.iterdir():
        path.unlink()
    shared.path.rmdir()
    (one,) = found(shared)
    assert one.kind == "directory" and "mounted" in one.remedy


def test_of_two_files_with_the_same_targets_that_of_the_node_is_the_right_one(shared: Registered) -> None:
    """Whichever comes first by name: what a node wrote is not the one to go."""
    for name in ("a.json", "z.json"):
        shared.write(name, json.dumps(entries("n1")).encode())
    some = [one for one in found(shared) if one.kind == "duplicate"]
    assert {Path(one.file).name for one in some} == {"a.json", "z.json"} and len(some) == 2 * len(JOBS)
