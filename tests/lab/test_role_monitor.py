"""enable.mode role-monitor on real nodes (seed 4): the agent follows slurmclient, as its user, over mutual TLS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bcm_jobstats.simulator.lab import monitoring
from bcm_jobstats.simulator.layout import HEAD
from tests.harness import until
from tests.lab.labs import EXPORTERS, NODES, TARGETS, Lab
from tests.lab.test_enablement import differences

pytestmark = pytest.mark.lab

FIRST, SECOND = NODES
AGENT = "bcm-role-monitor"
ALL = (AGENT, *EXPORTERS)
SHARED = "/cm/shared/apps/jobstats"
SITE = f"""\
enable: {{mode: role-monitor}}
role_monitor: {{check_interval: 2s, retry_interval: 2s, slow_retry_interval: 4s}}
prometheus: {{url: "http://{HEAD}:9090"}}
"""
HANG = Path(__file__).with_name("hanging.py")
one_release = pytest.mark.parametrize("lab", ["trixie"], indirect=True)
"""For what systemd and Python have no part in."""


@pytest.fixture(scope="module")
def pod(lab: Lab) -> Iterator[Lab]:
    """The lab with the mode applied; taken away afterwards, all is as it was."""
    before = differences(lab)
    lab.site(SITE)
    lab.ok("certificate", "--for", "role-monitor", "-q")
    certificate = {lab.path(f"{SHARED}/role-monitor")}
    lab.apply()
    yield lab
    lab.ok("destroy", "--yes", "-q")
    until(lambda: not any(lab.active(node, ALL) for node in NODES), what="nothing of ours runs")
    for node in NODES:
        assert not lab.on(node, "systemctl", "list-units", "--all", "--plain", "--no-legend", f"{AGENT}*")
    after = differences(lab)
    made = {str(path) for folder in certificate for path in (folder.parent, folder, *folder.rglob("*"))}
    changed = {name for name in {*before, *after} - made if before.get(name) != after.get(name)}
    assert changed <= {"objects"}, changed  # the profile of the certificate stays in BCM


@pytest.fixture(autouse=True)
def followed(pod: Lab) -> Iterator[None]:
    """Every test begins and ends with the role on both nodes."""
    whole(pod, FIRST)
    whole(pod, SECOND)
    yield
    follow(pod, *NODES)


def follow(pod: Lab, *nodes: str) -> None:
    """Give the role to these nodes alone, as an administrator does; the exporters are nobody's but the agent's."""
    members = f"set categories; set nodes {','.join(nodes)}"
    assert "rror" not in pod.cmsh(f"configurationoverlay; use slurm-client; {members}; commit")


def whole(pod: Lab, node: str) -> None:
    until(lambda: pod.active(node, ALL) == set(ALL) and pod.target(node).exists(), 60.0, f"{node} is monitored")


def gone(pod: Lab, node: str) -> None:
    done = lambda: pod.active(node, ALL) == {AGENT} and not pod.target(node).exists()  # noqa: E731
    until(done, 60.0, f"{node} is no longer monitored")


def unknown(pod: Lab, node: str) -> float:
    """How often the agent could not tell the role: counted in its own file, which is there when nobody serves it."""
    return polls(pod, node, 'result="unknown"')


def polls(pod: Lab, node: str, which: str = "[^}]*") -> float:
    text = pod.tried(node, "cat", "/run/bcm-jobstats/textfile/role_monitor.prom").stdout
    return sum(float(value) for value in re.findall(rf"^bcm_role_monitor_polls_total{{{which}}} (\S+)$", text, re.M))


def log(pod: Lab, node: str) -> str:
    return pod.on(node, "journalctl", "--unit", AGENT, "--output", "cat", "--no-pager")


def life(pod: Lab, node: str) -> tuple[object, ...]:
    """What changes when anything was started, stopped or written anew."""
    ids = [pod.property(node, unit, "InvocationID") for unit in ALL]
    status = pod.target(node).stat()
    return (*ids, status.st_ino, status.st_mtime_ns)


@contextmanager
def no_head(pod: Lab, node: str) -> Iterator[None]:
    """The head node cannot be reached from a node."""
    route = ("ip", "route", "{}", "unreachable", "10.141.0.254/32")
    pod.on(node, *(word.format("add") for word in route))
    try:
        yield
    finally:
        pod.on(node, *(word.format("del") for word in route))


def test_exporters_follow_the_role_and_prometheus_follows_them(pod: Lab) -> None:
    monitoring.install_product(pod.pod)
    monitoring.start_prometheus(pod.pod)
    follow(pod, FIRST)
    gone(pod, SECOND)
    up = f'up{{hostname="{SECOND}"}} == 1'
    until(lambda: not pod.pod.query(up), 60.0, "Prometheus forgot the second node")
    follow(pod, *NODES)
    until(lambda: len(pod.pod.query(up)) == len(EXPORTERS), 60.0, "Prometheus scrapes it")
    assert pod.run_status("targets", "check") == 0, pod.run_out("targets", "check")
    assert pod.run_status("drift") == 0


@one_release
def test_an_unreachable_head_changes_nothing(pod: Lab) -> None:
    before, failed = life(pod, FIRST), unknown(pod, FIRST)
    with no_head(pod, FIRST):
        until(lambda: unknown(pod, FIRST) >= failed + 3, 60.0, "three polls have failed")
        follow(pod, SECOND)
        now = unknown(pod, FIRST)
        until(lambda: unknown(pod, FIRST) > now, 60.0, "one more has")
        assert life(pod, FIRST) == before
    gone(pod, FIRST)
    said = [line for line in log(pod, FIRST).splitlines() if HEAD in line and "Unreachable" in line.title()]
    assert len(said) <= 2, said


@one_release
def test_a_restart_of_the_agent_keeps_what_it_knew(pod: Lab) -> None:
    with no_head(pod, FIRST):
        pod.on(FIRST, "systemctl", "stop", AGENT)
        until(lambda: not pod.active(FIRST, ALL) and not pod.target(FIRST).exists(), what="all stops with the agent")
        pod.on(FIRST, "systemctl", "start", AGENT)
        whole(pod, FIRST)


@one_release
@pytest.mark.parametrize("trouble", ["missing", "read-only", "hanging"])
def test_shared_storage_in_trouble(pod: Lab, trouble: str) -> None:
    """BCM is followed meanwhile, it is said once, and the target is written when the storage is back."""
    follow(pod, SECOND)
    gone(pod, FIRST)
    begun = len(log(pod, FIRST))
    with broken(pod, FIRST, trouble):
        follow(pod, *NODES)
        until(lambda: pod.active(FIRST, ALL) == set(ALL), 60.0, "the services run all the same")
        now = polls(pod, FIRST)
        until(lambda: polls(pod, FIRST) >= now + 3, 60.0, "the agent goes on")
        assert pod.property(FIRST, AGENT, "NRestarts") == "0"
    until(lambda: pod.target(FIRST).exists(), 60.0, "the target is written when it is back")
    said = [line for line in log(pod, FIRST)[begun:].splitlines() if "prometheus-targets" in line]
    assert 1 <= len(said) <= 4, said


@contextmanager
def broken(pod: Lab, node: str, how: str) -> Iterator[None]:
    folder, aside = pod.path(TARGETS), pod.path(f"{TARGETS}.aside")
    if how == "missing":
        folder.rename(aside)
        try:
            yield
        finally:
            aside.rename(folder)
    elif how == "read-only":
        pod.on(node, "mkdir", "-p", "/tmp/ro")
        pod.on(node, "mount", "--bind", TARGETS, "/tmp/ro")
        pod.on(node, "mount", "-o", "remount,bind,ro", "/tmp/ro")
        pod.on(node, "mount", "--bind", "/tmp/ro", TARGETS)
        try:
            yield
        finally:
            pod.on(node, "umount", TARGETS, "/tmp/ro")
    else:
        pod.path("/root/hanging.py", node).write_bytes(HANG.read_bytes())
        pod.on(node, "systemd-run", "--unit=hanging", "--service-type=notify", "python3", "/root/hanging.py", SHARED)
        try:
            yield
        finally:
            pod.on(node, "systemctl", "stop", "hanging")


def test_the_agent_is_nobody_who_can_do_harm(pod: Lab) -> None:
    """Not root, no capability, a key that root alone and it can read; its units are exposed to no more than 4.0."""
    pid = pod.property(FIRST, AGENT, "MainPID")
    status = dict(re.findall(r"^(\w+):\s+(.*)$", pod.on(FIRST, "cat", f"/proc/{pid}/status"), re.M))
    assert status["Uid"].split() == [pod.on(FIRST, "id", "-u", "jobstats")] * 4
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
    assert int(status["VmHWM"].split()[0]) <= 25_000, "kB of memory, with the Python of either release"
    for unit in (f"{AGENT}.service", f"{AGENT}-orders.service"):
        told = pod.tried(FIRST, "systemd-analyze", "security", "--no-pager", unit).stdout
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
        assert found and float(found[1]) <= 4.0, told[-400:]
    key = pod.path(f"{SHARED}/role-monitor/role-monitor.key").stat()
    assert (key.st_mode & 0o777, key.st_uid) == (0o600, int(status["Uid"].split()[0]))
    assert not list(pod.path("/cm/images/dgx-image/etc/bcm-role-monitor").glob("*.key"))


@one_release
def test_a_crashed_exporter_and_a_killed_agent_come_back(pod: Lab) -> None:
    pod.on(FIRST, "systemctl", "stop", "cgroup_exporter")
    whole(pod, FIRST)
    pod.on(FIRST, "systemctl", "kill", "--signal=SIGKILL", AGENT)
    assert pod.active(FIRST, tuple(EXPORTERS)) == set(EXPORTERS)
    assert pod.target(FIRST).exists()
    pod.on(FIRST, "systemctl", "restart", AGENT)
    whole(pod, FIRST)
