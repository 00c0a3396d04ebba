"""systemd as the agent asks it and gives it orders, with the real script that carries them out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bcm_jobstats import data
from bcm_jobstats.node import systemd
from bcm_jobstats.node.ports import ServicesLost
from tests.node.systemctl import Systemctl

NAMES = ("node_exporter", "cgroup_exporter")


@pytest.fixture
def ctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    made = Systemctl(tmp_path, *NAMES)
    monkeypatch.setattr(systemd, "ENVIRONMENT", {"PATH": made.path, "LC_ALL": "C"})
    return made


class Clock:
    """Time that passes while something is waited for."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def read(self) -> float:
        return self.now


def node(root: Path) -> Path:
    """The folder of orders, as systemd makes it."""
    orders = root / "run/orders"
    orders.mkdir(parents=True)
    return orders


def test_states_are_systemds_and_missing_is_told_apart(ctl: Systemctl, tmp_path: Path) -> None:
    ctl.be("node_exporter", "failed")
    told = systemd.Systemd(tmp_path, root=False).states([*NAMES, "nowhere"])
    assert told == {"node_exporter": "failed", "cgroup_exporter": "inactive", "nowhere": "missing"}
    assert len(ctl.calls()) == 1, "one process, however many services"
    assert systemd.Systemd(tmp_path, root=False).states([]) == {}


@pytest.mark.parametrize(
    ("mark", "cause"),
    [("gone", "Failed to connect to bus"), ("silent", "told of 0 services, not of 2"), ("hangs", "does not answer")],
)
def test_systemd_that_does_not_tell_is_lost(
    ctl: Systemctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str, cause: str
) -> None:
    ctl.mark(mark)
    monkeypatch.setattr(systemd, "ASKING", 0.3)
    with pytest.raises(ServicesLost, match=cause):
        systemd.Systemd(tmp_path, root=False).states(NAMES)


def test_no_systemctl_is_lost(ctl: Systemctl, tmp_path: Path) -> None:
    systemd.ENVIRONMENT["PATH"] = str(tmp_path / "nothing")
    for act in (systemd.Systemd(tmp_path, root=True).start, systemd.Systemd(tmp_path, root=False).states):
        with pytest.raises(ServicesLost, match="cannot be asked: No such file"):
            act(NAMES)


def test_root_starts_also_what_systemd_gave_up_and_a_failure_is_no_error(ctl: Systemctl, tmp_path: Path) -> None:
    ctl.mark("broken.node_exporter.service")
    root = systemd.Systemd(tmp_path, root=True)
    root.start(NAMES)
    units = "node_exporter.service cgroup_exporter.service"
    assert ctl.calls() == [f"reset-failed {units}", f"start {units}"]
    assert ctl.states() == {"node_exporter": "failed", "cgroup_exporter": "active"}
    root.stop(["cgroup_exporter"])
    assert ctl.states()["cgroup_exporter"] == "inactive"


def test_a_service_that_takes_its_time_is_not_waited_for(
    ctl: Systemctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctl.mark("hangs")
    monkeypatch.setattr(systemd, "ACTING", 0.2)
    systemd.Systemd(tmp_path, root=True).stop(NAMES)
    assert [call.split()[0] for call in ctl.calls()] == ["stop"]


def test_anybody_else_has_orders_carried_out(ctl: Systemctl, tmp_path: Path) -> None:
    orders = node(tmp_path)
    seen: list[list[str]] = []

    def carry_out(seconds: float) -> None:
        seen.append(sorted(path.name for path in orders.iterdir()))
        script = data.path("scripts") / "role-monitor-orders"
        subprocess.run(["/bin/bash", str(script), str(orders), *NAMES], check=True, env={"PATH": ctl.path})

    monitor = systemd.Systemd(tmp_path / "run", root=False, sleep=carry_out)
    ctl.be("bcm-role-monitor", "active")
    monitor.start(NAMES)
    assert ctl.states() == dict.fromkeys(NAMES, "active")
    monitor.stop(["node_exporter"])
    assert ctl.states() == {"node_exporter": "inactive", "cgroup_exporter": "active"}
    assert seen == [["start.cgroup_exporter", "start.node_exporter"], ["stop.node_exporter"]]
    assert list(orders.iterdir()) == []


def test_orders_that_nobody_carries_out_are_taken_back(tmp_path: Path) -> None:
    orders, clock = node(tmp_path), Clock()
    monitor = systemd.Systemd(tmp_path / "run", root=False, sleep=clock.sleep, monotonic=clock.read)
    with pytest.raises(ServicesLost, match="carries out no order") as caught:
        monitor.start(NAMES)
    assert caught.value.subject == "bcm-role-monitor-orders.path"
    assert clock.now >= systemd.CARRIED_OUT
    assert list(orders.iterdir()) == [], "a late start could be against what BCM says by then"


def test_the_last_word_counts(tmp_path: Path) -> None:
    orders = node(tmp_path)
    (orders / "start.node_exporter").touch()
    names: list[str] = []

    def carry_out(seconds: float) -> None:
        names.extend(path.name for path in orders.iterdir())
        for path in list(orders.iterdir()):
            path.unlink()

    systemd.Systemd(tmp_path / "run", root=False, sleep=carry_out).stop(["node_exporter"])
    assert names == ["stop.node_exporter"]


def test_without_a_folder_of_orders_it_says_who_may_run_it(tmp_path: Path) -> None:
    with pytest.raises(ServicesLost, match="takes no order") as caught:
        systemd.Systemd(tmp_path / "run", root=False).stop(NAMES)
    assert "bcm-role-monitor.service" in caught.value.remedy


def test_root_is_who_has_the_number_0() -> None:
    assert systemd.is_root() == (os.geteuid() == 0)
