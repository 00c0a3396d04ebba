"""`bcm-jobstats targets` over a simulated cluster: list, check, sync; serve is in tests/monitoring."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.deployment import Deployment
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.monitoring import registry
from bcm_jobstats.plan.lock import locked
from bcm_jobstats.simulator import Simulator
from tests.harness import cluster, cmsh, run
from tests.monitoring.directory import content

TARGETS = "cm/shared/apps/jobstats/prometheus-targets"
STAGING = "cm/shared/apps/jobstats/.prometheus-targets.tmp"
QUIET = ("--yes", "-q")


class Head:
    """A head node after an apply; all four DGX nodes have registered."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator, self.root = simulator, simulator.directory
        self.directory = self.root / TARGETS

    def site(self, text: str) -> None:
        file = self.root / "etc/bcm-jobstats/site.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")

    def apply(self) -> None:
        outcome = run(self.root, "apply", *QUIET)
        assert outcome.status == 0, outcome.err

    def register(self, *names: str) -> None:
        for name in names:
            (self.directory / f"{name}.json").write_bytes(content(name))

    def found(self) -> dict[str, Any]:
        """What `check` finds, by kind. That the directory is of whoever runs the test matters on a head node alone."""
        told = json.loads(run(self.root, "targets", "check", "--json").out)
        kinds = {finding["kind"]: finding for finding in told}
        if os.geteuid() != 0:
            del kinds["permissions"]
        return kinds

    def told(self, *words: str) -> Any:
        return json.loads(run(self.root, "targets", *words, "--json").out)


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Head]:
    with cluster(tmp_path / "head", nodes=4) as simulator:
        made = Head(simulator)
        made.site("exporters: {}")
        made.apply()
        made.register(*(f"dgx-0{number}" for number in range(1, 5)))
        # Those of the administrator and of another cluster, which nothing here may touch.
        (made.directory / "pdu1.json").write_text('[{"targets": ["pdu1:161"], "labels": {"job": "snmp"}}]')
        (made.directory / "dgx-77.json").write_bytes(content("dgx-77", "other"))
        yield made


def kept(head: Head) -> bool:
    """With the folder that nodes of the other cluster need to write theirs."""
    files = (head.directory / "pdu1.json", head.directory / "dgx-77.json", head.root / STAGING)
    return all(path.exists() for path in files)


def test_list_tells_what_is_of_others(head: Head) -> None:
    states = {row["node"]: row["state"] for row in head.told("list")}
    assert states["pdu1"] == "foreign" and states["dgx-77"] == "of other" and states["dgx-01"] == "ok"
    assert "of other" in run(head.root, "targets", "list").out


def test_check_finds_what_is_wrong_and_sync_cures_it(head: Head) -> None:
    assert head.found() == {}
    (head.directory / "dgx-01.json").unlink()
    (head.directory / "dgx-02.json").write_text("[")
    head.register("gone-01")
    found = head.found()
    assert set(found) == {"missing", "invalid", "stale"}
    assert all(finding["cause"] and finding["remedy"] for finding in found.values())
    outcome = run(head.root, "targets", "check")
    assert outcome.status == ExitStatus.FAILED
    assert all(str(head.directory) in line for line in outcome.out.splitlines())
    assert run(head.root, "targets", "sync", "-q").status == 0
    assert set(head.found()) == {"missing"}
    head.register("dgx-01")
    assert head.found() == {}
    assert kept(head)


def test_check_asks_bcm_as_often_for_one_node_as_for_many(head: Head) -> None:
    def asked() -> int:
        before = len(head.simulator.control({"op": "log"})["result"])
        head.found()
        return len(head.simulator.control({"op": "log"})["result"]) - before

    few = asked()
    category = head.simulator.state()["device"]["dgx-01"]["values"]["category"]
    more = "; ".join(f"add physicalnode more-{n}; set category {category}; home; device" for n in range(3))
    cmsh(head.simulator, f"device; {more}; commit")
    head.register("more-0", "more-1", "more-2")
    assert asked() == few


def test_destroy_and_another_directory_leave_what_is_of_others(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bcm_jobstats.monitoring.providers.WITHDRAWAL", 0.0)
    head.site("targets: {directory: /cm/shared/other/targets}")
    assert run(head.root, "apply", *QUIET).status == 0
    assert {path.name for path in head.directory.iterdir()} == {"pdu1.json", "dgx-77.json"}
    assert run(head.root, "destroy", *QUIET).status == 0
    assert kept(head)


def test_the_one_file_comes_with_sync_and_stays_while_prometheus_may_read_it(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bcm_jobstats.monitoring.providers.WITHDRAWAL", 0.0)
    one, other = (head.root / f"{TARGETS}.{name}.compact.json" for name in ("slurm", "other"))
    other.write_text("[]")
    for change in ("targets: {directory: /cm/shared/other/targets}", None):
        head.site("targets: {read: compact}")
        head.apply()
        head.register("dgx-01", "dgx-04")
        outcome = run(head.root, "targets", "sync")
        assert "slurm.compact.json is new" in outcome.err and b"dgx-04" in one.read_bytes()
        assert run(head.root, "targets", "sync", "-q").out == "", "by the timer it tells what changed alone"
        assert run(head.root, "drift", "-q").status == 0
        head.site("exporters: {}")
        head.apply()
        assert run(head.root, "drift", "-q").status == 0
        (head.directory / "dgx-04.json").unlink()
        assert run(head.root, "targets", "sync", "-q").status == 0
        assert b"dgx-01" in one.read_bytes() and b"dgx-04" not in one.read_bytes(), "kept up"
        assert "prometheus render" in head.found()["compact"]["remedy"]
        if change:
            head.site(change)
        assert run(head.root, *(["apply", *QUIET] if change else ["destroy", *QUIET])).status == 0
        assert not one.exists(), change
    assert kept(head) and other.exists()


def test_a_node_that_registers_while_bcm_is_asked_stays(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Deployment._read

    def meanwhile(deployment: Deployment) -> Any:
        found = asked(deployment)
        head.register("login-01")
        return found

    monkeypatch.setattr(Deployment, "_read", meanwhile)
    assert run(head.root, "targets", "sync").out == "All registrations are as BCM says.\n"
    assert (head.directory / "login-01.json").exists()


def test_sync_is_for_one_run_at_a_time(head: Head) -> None:
    with locked(head.root / "var/lib/bcm-jobstats/lock"):
        assert run(head.root, "targets", "sync").status == ExitStatus.BUSY
        assert head.found() == {}


@pytest.mark.parametrize("words", [("targets", "check"), ("targets", "sync"), ("plan",), ("status", "--no-prometheus")])
def test_a_directory_that_hangs_is_a_clear_error(
    head: Head, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    go = threading.Event()
    monkeypatch.setattr(registry, "PATIENCE", 0.05)
    monkeypatch.setattr(registry, "read", lambda path: go.wait(60))
    outcome = run(head.root, *words)
    go.set()
    assert outcome.status == ExitStatus.FAILED
    assert TARGETS in outcome.err and "did not answer" in outcome.err
