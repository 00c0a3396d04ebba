"""scripts/role-monitor-orders, run for real: what it has systemd do, and what becomes of everything else."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from bcm_jobstats import data
from bcm_jobstats.node import systemd
from tests.node.systemctl import Systemctl

SCRIPT = data.path("scripts") / "role-monitor-orders"
NAMES = ("node_exporter", "cgroup_exporter", "dcgm-exporter")
MONITOR = "bcm-role-monitor"
ASKED = f"is-active {MONITOR}.service"


class Node:
    """The folder of orders, and systemd."""

    def __init__(self, root: Path) -> None:
        self.orders = root / "orders"
        self.orders.mkdir()
        self.ctl = Systemctl(root, *NAMES)
        self.ctl.be(MONITOR, "active")

    def run(self, *names: str) -> subprocess.CompletedProcess[str]:
        command = ["/bin/bash", str(SCRIPT), str(self.orders), *(names or NAMES)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": self.ctl.path})

    def left(self) -> list[str]:
        return sorted(path.name for path in self.orders.iterdir())


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_orders_are_carried_out_together_and_taken_away(node: Node) -> None:
    node.ctl.be("dcgm-exporter", "active")
    for order in ("start.node_exporter", "start.cgroup_exporter", "stop.dcgm-exporter"):
        (node.orders / order).touch()
    done = node.run()
    assert (done.returncode, done.stdout, done.stderr, node.left()) == (0, "", "", [])
    assert node.ctl.states() == {"node_exporter": "active", "cgroup_exporter": "active", "dcgm-exporter": "inactive"}
    units = "node_exporter.service cgroup_exporter.service"
    started = [ASKED, f"reset-failed {units}", f"start {units}", ASKED]
    assert node.ctl.calls() == ["stop dcgm-exporter.service", *started]


def test_no_order_is_nothing_to_do(node: Node) -> None:
    assert (node.run().returncode, node.ctl.calls()) == (0, [])


def test_one_that_fails_does_not_stop_the_others(node: Node) -> None:
    node.ctl.mark("broken.cgroup_exporter.service")
    for order in ("start.cgroup_exporter", "start.node_exporter"):
        (node.orders / order).touch()
    done = node.run()
    assert done.returncode == 0, "a unit that failed would be noticed as one of ours"
    assert "systemctl start node_exporter.service cgroup_exporter.service: status 1" in done.stderr
    assert node.ctl.states()["node_exporter"] == "active"
    assert node.left() == []


@pytest.mark.parametrize(
    "name",
    [
        "start.sshd",
        "start.node_exporter.service",
        "start.node_exporter ",
        "start.",
        "start.*",
        "restart.node_exporter",
        "node_exporter",
        "stop.node_exporter\nstart.sshd",
        ".start.node_exporter",
        "-start.node_exporter",
        "start.$(touch x)",
    ],
)
def test_nothing_but_the_named_services_is_touched(node: Node, name: str) -> None:
    (node.orders / name).touch()
    done = node.run()
    assert (done.returncode, node.ctl.calls(), node.left()) == (0, [], [])
    assert "is no order" in done.stderr and done.stderr.count("\n") == 1


def test_what_is_there_in_the_place_of_a_file_is_never_opened_or_followed(node: Node, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("mine")
    os.mkfifo(node.orders / "start.node_exporter")  # would hold whoever opens it
    (node.orders / "start.cgroup_exporter").symlink_to(kept)
    (node.orders / "x").symlink_to(kept)
    (node.orders / "stop.dcgm-exporter").mkdir()
    (node.orders / "stop.dcgm-exporter/y").symlink_to(kept)
    done = node.run()
    assert (done.returncode, node.left()) == (0, [])
    assert (kept / "file").read_text() == "mine"
    assert node.ctl.states()["node_exporter"] == "active"


def test_what_cannot_be_taken_away_does_not_keep_systemd_busy(node: Node) -> None:
    for name in ("rm", "sleep"):
        (node.ctl.folder / name).write_text(f"#!/bin/sh\necho {name} >>{node.ctl.log}\n")
        (node.ctl.folder / name).chmod(0o755)
    (node.orders / "x").touch()
    assert node.run().returncode == 0
    assert node.ctl.calls() == ["rm", "sleep"]


@pytest.mark.parametrize("state", ["inactive", "deactivating", "failed"])
def test_nothing_is_started_once_the_role_monitor_ends(node: Node, state: str) -> None:
    """systemd stopped the exporters with it already; nobody would stop those that came later."""
    node.ctl.be(MONITOR, state)
    node.ctl.be("dcgm-exporter", "active")
    for order in ("start.node_exporter", "stop.dcgm-exporter"):
        (node.orders / order).touch()
    assert (node.run().returncode, node.left()) == (0, [])
    assert set(node.ctl.states().values()) == {"inactive"}
    assert node.ctl.calls() == ["stop dcgm-exporter.service", ASKED]


def test_what_was_started_while_the_role_monitor_ended_is_stopped(node: Node) -> None:
    node.ctl.mark(f"{MONITOR}.service.ends")
    (node.orders / "start.node_exporter").touch()
    assert (node.run().returncode, node.left()) == (0, [])
    assert node.ctl.calls()[-3:] == ["start node_exporter.service", ASKED, "stop node_exporter.service"]
    assert node.ctl.states()["node_exporter"] == "inactive"


def test_however_much_lies_there_orders_are_carried_out_and_one_line_is_said(node: Node) -> None:
    (node.ctl.folder / "sleep").symlink_to("/bin/true")
    for number in range(1500):
        (node.orders / f"start.{'x' * 150}{number}").touch()
    (node.orders / "start.node_exporter").touch()
    done = node.run()
    assert (done.returncode, len(node.left())) == (0, 500)
    assert "and 999 others are no orders" in done.stderr and done.stderr.count("\n") == 1
    assert node.ctl.states()["node_exporter"] == "active"
    assert (node.run().returncode, node.left()) == (0, [])


def test_it_ends_before_systemd_or_the_role_monitor_loses_patience() -> None:
    text = SCRIPT.read_text()
    last = text.index("ended || systemd 12 stop")
    seconds = [int(one) for one in re.findall(r"\b(?:timeout|systemd) (\d+) [a-z]", text[:last])]
    assert len(seconds) == 4
    most = sum(seconds)
    assert most < systemd.CARRIED_OUT, "or each order would fail where systemd is slow"
    unit = (data.path("overlays") / "templates/bcm-role-monitor-orders.service.j2").read_text()
    found = re.search(r"^TimeoutStartSec=(\d+)$", unit, re.M)
    assert found and most + 3 + 12 < int(found[1])


def test_without_services_it_does_nothing(node: Node) -> None:
    (node.orders / "start.node_exporter").touch()
    done = subprocess.run(["/bin/bash", str(SCRIPT), str(node.orders)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "usage" in done.stderr
    assert node.left() == ["start.node_exporter"]
