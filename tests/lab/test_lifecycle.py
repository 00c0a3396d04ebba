"""What a node goes through (design §8): boots from its image, loss of power, a first boot, services that die."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest

from bcm_jobstats.simulator.lab.pod import USER
from bcm_jobstats.simulator.layout import HEAD
from tests.harness import until
from tests.lab.labs import NODES, OURS, SLURM, Lab

pytestmark = [pytest.mark.lab, pytest.mark.parametrize("lab", ["trixie"], indirect=True)]

FIRST, SECOND = NODES
NEW = "dgx-05"
ROLE = "configurationoverlay; use slurm-client; roles;"
SCRIPT = "/usr/lib/bcm-jobstats/jobstats-target"


@pytest.fixture(scope="module")
def applied(lab: Lab) -> Lab:
    lab.apply()
    until(lambda: all(map(lab.whole, NODES)), what="all nodes are whole")
    return lab


@pytest.fixture
def pod(applied: Lab) -> Iterator[Lab]:
    """The lab with everything in order, before a test and after it."""
    yield applied
    applied.cmsh("device; power on -c dgx-h100")
    applied.site()
    applied.apply()
    until(lambda: all(map(applied.whole, NODES)), what="all nodes are whole again")


def pid(pod: Lab, node: str, unit: str) -> str:
    return pod.property(node, unit, "MainPID")


def listed(pod: Lab) -> dict[str, str]:
    """node -> the state of its registration, as the product tells it."""
    return {row["node"]: row["state"] for row in json.loads(pod.ok("targets", "list", "--json").out)}


@pytest.mark.parametrize("where", ["cmsh", "node"])
def test_a_reboot_gives_a_node_the_tree_of_its_image(pod: Lab, where: str) -> None:
    """bcm-facts §6: what excludelistsyncinstall names stays, all else becomes as the image has it."""
    pod.on(FIRST, "sh", "-c", f"touch /etc/own /opt/own /run/own; echo own >> /etc/passwd; rm {SCRIPT}")
    pod.on(FIRST, "sh", "-c", "echo kept > /var/log/own; echo kept > /home/alice/own")
    if where == "cmsh":
        assert f"Reboot in progress for: {FIRST}" in pod.cmsh(f"device reboot {FIRST}")
    else:
        pod.tried(FIRST, "systemctl", "reboot")
        until(lambda: not pod.path("/etc/own", FIRST).exists(), what="it is provisioned again")
    until(lambda: pod.status(FIRST) == "UP" and pod.whole(FIRST), what="the node is back")
    assert pod.on(FIRST, "sh", "-c", "ls -d /etc/own /opt/own /run/own 2>/dev/null || :") == ""
    image = pod.path("/cm/images/dgx-image")
    assert pod.on(FIRST, "cat", "/etc/passwd") == (image / "etc/passwd").read_text(encoding="utf-8").rstrip("\n")
    assert pod.on(FIRST, "cat", SCRIPT) == (image / SCRIPT.lstrip("/")).read_text(encoding="utf-8").rstrip("\n")
    assert pod.on(FIRST, "cat", "/var/log/own", "/home/alice/own") == "kept\nkept"


def test_a_node_without_power_is_down_and_stays_registered(pod: Lab) -> None:
    assert "OFF" in pod.cmsh(f"device power off {SECOND}")
    assert (pod.status(SECOND), pod.status(FIRST)) == ("DOWN", "UP")
    assert "UP" not in pod.cmsh(f"device services {SECOND}; status")
    assert not pod.answers(SECOND, 9100) and pod.answers(FIRST, 9100)
    pod.ok("targets", "sync", "-q")
    assert listed(pod) == dict.fromkeys(NODES, "ok")  # so that Prometheus tells that it is down


@pytest.mark.parametrize("where", ["cmsh", "node"])
def test_a_node_that_shuts_down_withdraws(pod: Lab, where: str) -> None:
    if where == "cmsh":
        pod.cmsh(f"device shutdown {SECOND}")
    else:
        pod.tried(SECOND, "systemctl", "poweroff")
    until(lambda: not pod.target(SECOND).exists(), what="its target is gone")
    until(lambda: "OFF" in pod.cmsh(f"device power status {SECOND}"), what="it is off")
    assert pod.status(SECOND) == "DOWN"
    assert pod.target(FIRST).exists()


def test_a_node_that_was_off_while_the_role_went_comes_up_without_it(pod: Lab) -> None:
    pod.cmsh(f"device power off {SECOND}")
    pod.cmsh(f"{ROLE} unassign generic::jobstats; commit")
    until(lambda: not pod.target(FIRST).exists() and not pod.active(FIRST), what="the other node obeys")
    pod.cmsh(f"device power on {SECOND}")
    assert pod.services(SECOND) == dict.fromkeys(SLURM, "UP")
    assert pod.active(SECOND) == set()
    assert listed(pod) == {SECOND: "stale"}
    pod.ok("targets", "sync", "-q")
    assert not pod.target(SECOND).exists()


def test_a_new_node_of_the_category_has_everything(pod: Lab) -> None:
    before = {node: pid(pod, node, "slurmd") for node in NODES}
    pod.cmsh(f"device; clone {FIRST} {NEW}; set mac 02:00:00:00:00:AA; commit")
    try:
        pod.cmsh(f"device; use {NEW}; set ip 10.141.0.5; commit")  # before its first boot, but not in one commit
        assert pod.status(NEW) == "DOWN"
        until(lambda: pod.slurm(NEW), what="Slurm knows the node")
        assert "ON" in pod.cmsh(f"device power on {NEW}")
        until(lambda: pod.whole(NEW), what="the new node is whole")
        until(lambda: all(pod.answers(NEW, port) for port in (9100, 9306, 9445)), what="its exporters answer")
        # Another set of nodes is a restart of slurmd (bcm-facts §5.2).
        until(lambda: all(pid(pod, node, "slurmd") not in ("0", old) for node, old in before.items()))
        assert pod.on("bcm-head", "srun", "--nodelist", NEW, "hostname") == NEW
    finally:
        pod.cmsh(f"device; remove {NEW}; commit")
    assert pod.tried("bcm-head", "ping", "-c1", "-W1", "10.141.0.5").returncode  # a removed node runs no more
    pod.ok("targets", "sync", "-q")
    assert sorted(listed(pod)) == list(NODES)
    until(lambda: not pod.slurm(NEW), what="Slurm has forgotten the node")


def test_services_that_end_come_back(pod: Lab) -> None:
    """Whoever is first: systemd after a crash, or CMDaemon (bcm-facts §3.3), which also restarts what was stopped."""
    killed, stopped = ("nvidia_gpu_exporter", "slurmd"), "node_exporter"
    before = {unit: pid(pod, FIRST, unit) for unit in (*killed, stopped)}
    pod.on(FIRST, "systemctl", "stop", stopped)
    pod.on(FIRST, "kill", "-KILL", *(before[unit] for unit in killed))
    until(lambda: all(pid(pod, FIRST, unit) not in ("0", old) for unit, old in before.items()), what="all run again")
    until(lambda: pod.whole(FIRST))


def test_a_service_that_fails_ten_times_is_failing(pod: Lab) -> None:
    """bcm-facts §3.3. Every commit is a reason for CMDaemon to try again."""
    pod.path(SCRIPT, FIRST).write_text("#!/bin/sh\necho broken >&2\nexit 1\n", encoding="utf-8")
    pod.on(FIRST, "systemctl", "stop", "jobstats-target")
    racks = itertools.count()

    def failing() -> bool:
        pod.cmsh(f"device; set {FIRST} rack rack{next(racks)}; commit")
        return pod.services(FIRST)["jobstats-target"] == "FAILING"

    until(failing, 60.0)
    assert next(racks) > 5
    assert "[FAILING ]" in pod.cmsh(f"device services {FIRST}; status").replace("[ FAILING]", "[FAILING ]")
    assert {name for name, state in pod.services(FIRST).items() if state == "UP"} == {*OURS, *SLURM} - {
        "jobstats-target"
    }
    pod.cmsh(f"device; clear {FIRST} rack; commit; reboot {FIRST}")
    until(lambda: pod.status(FIRST) == "UP" and pod.whole(FIRST), what="the image mends it")


def test_an_apply_that_changes_a_unit_restarts_it_on_running_nodes(pod: Lab) -> None:
    before = {(node, unit): pid(pod, node, unit) for node in NODES for unit in ("node_exporter", "cgroup_exporter")}
    pod.site("exporters: {node_exporter: {port: 9101}}\n")
    pod.apply()
    until(lambda: all(pod.answers(node, 9101) for node in NODES), what="the new port answers")
    assert not any(pod.answers(node, 9100) for node in NODES)
    after = {key: pid(pod, *key) for key in before}
    assert {unit for (node, unit), number in after.items() if number != before[node, unit]} == {"node_exporter"}
    until(lambda: all(f"{node}:9101" in pod.target(node).read_text(encoding="utf-8") for node in NODES))


def test_a_batch_job_survives_an_apply(pod: Lab) -> None:
    """bcm-facts §6: an imageupdate deletes what the image lacks, and the spool of slurmd only where it is excluded."""
    words = ("sbatch", "--parsable", "--output=/dev/null", "--chdir=/tmp", "--mem=100", f"--nodelist={FIRST}")
    job = pod.pod.run(HEAD, *words, "--wrap=until [ -e /tmp/go ]; do sleep 0.1; done", user=USER).strip()

    def told(*wanted: str) -> bool:
        return {*wanted} <= {*pod.on(HEAD, "scontrol", "show", "job", job).split()}

    def step() -> str:
        """A process of the job, as slurmd's spool leads to it; none is -1."""
        return pod.tried(FIRST, "scontrol", "listpids", job).stdout.partition("\n")[2].partition(" ")[0]

    until(lambda: step() not in ("", "-1"), what="the job runs")
    try:
        before = step()
        pod.site("exporters: {node_exporter: {port: 9101}}\n")
        pod.apply()
        until(lambda: pod.answers(FIRST, 9101), what="the node has what was applied")
        assert step() == before, "slurmd knows the job's step no longer"
        assert told("JobState=RUNNING", "Restarts=0")
        pod.on(FIRST, "touch", "/tmp/go")
        until(lambda: told("JobState=COMPLETED", "Restarts=0", "ExitCode=0:0"), what="the job ends well")
    finally:
        pod.on(HEAD, "scancel", job)
        pod.on(FIRST, "rm", "-f", "/tmp/go")
