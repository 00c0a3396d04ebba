"""Process nodes: real processes, looked after as CMDaemon does (bcm-facts §3.3)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bcm_jobstats
from bcm_jobstats.simulator.imagetree import seed_image
from bcm_jobstats.simulator.noderunner import ServiceState, SimulatedNode, Wish
from bcm_jobstats.simulator.processnodes import ProcessNodes
from bcm_jobstats.simulator.treesync import changed

UP, DOWN, STOPPED, FAILING = ServiceState.UP, ServiceState.DOWN, ServiceState.STOPPED, ServiceState.FAILING
LOOKED_AFTER = Wish()
SLEEP = "ExecStart=/bin/sleep 1000"


def wait_until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.002)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie, whose father is to blame, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Site:
    """A little cluster of process nodes, and everything that was said about it."""

    def __init__(self, base: Path, count: int = 1, interval: float = 1000.0) -> None:
        self.base, self.image, self.shared = base, base / "image", base / "shared"
        self.shared.mkdir()
        self.told: list[str] = []
        nodes = [SimulatedNode(f"node{i:03}", f"127.83.18.{i}", base / f"node{i:03}") for i in range(1, count + 1)]
        self.names = [node.name for node in nodes]
        self.runner = ProcessNodes(nodes, shared=self.shared, repair_interval=interval, on_event=self.told.append)

    def unit(self, name: str, body: str, unit: str = "") -> None:
        path = self.image / f"etc/systemd/system/{name}.service"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[Unit]\n{unit}\n[Service]\n{body}\n", encoding="utf-8")

    def script(self, path: str, body: str) -> None:
        file = self.image / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        file.chmod(0o755)

    def update(self) -> None:
        self.runner.update(self.names, self.image, dry_run=False)

    def settle(self, *services: str, wish: Wish = LOOKED_AFTER) -> list[str]:
        return self.runner.settle({name: dict.fromkeys(services, wish) for name in self.names})

    def state(self, service: str) -> ServiceState | None:
        return self.runner.states("node001").get(service)

    def pid(self, service: str) -> int:
        pid = self.runner.pid("node001", service)
        assert pid is not None
        return pid

    def node(self, path: str) -> Path:
        return self.base / "node001" / path.lstrip("/")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.runner.close()


@pytest.fixture
def repairing(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, interval=0.01)
    yield site
    site.runner.close()


def test_services_start_on_settle_and_stop_when_taken_away(site: Site) -> None:
    """bcm-facts §3.3, §11 #14."""
    site.unit("x", SLEEP)
    site.update()
    assert site.settle("x") == ["node001: Service x was started"]
    pid = site.pid("x")
    assert (site.state("x"), alive(pid)) == (UP, True)
    assert site.settle("x") == []
    assert site.pid("x") == pid
    assert site.settle() == ["node001: Service x was stopped"]
    assert (site.runner.states("node001"), alive(pid)) == ({}, False)


def test_without_autostart_a_service_is_not_started_and_is_left_running(site: Site) -> None:
    wish = Wish(autostart=False)
    site.unit("x", SLEEP)
    site.update()
    assert site.settle("x", wish=wish) == []
    assert site.state("x") is DOWN
    assert site.runner.act("start", "node001", "x")
    pid = site.pid("x")
    assert site.settle() == []
    assert (site.runner.states("node001"), alive(pid)) == ({}, True)
    site.runner.close()
    assert not alive(pid)


def test_autostart_switched_on_starts_the_service(site: Site) -> None:
    site.unit("x", SLEEP)
    site.update()
    site.settle("x", wish=Wish(autostart=False))
    assert site.settle("x") == ["node001: Service x was started"]


def test_a_service_that_dies_is_repaired_and_both_is_told(repairing: Site) -> None:
    """bcm-facts §3.3: autostart."""
    repairing.unit("x", SLEEP)
    repairing.update()
    repairing.settle("x")
    old = repairing.pid("x")
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: repairing.runner.pid("node001", "x") not in (None, old))
    assert repairing.state("x") is UP
    wait_until(lambda: len(repairing.told) == 2)
    assert repairing.told == ["node001: Service x died", "node001: Service x was restarted"]


def test_without_autostart_a_death_is_told_and_not_repaired(repairing: Site) -> None:
    repairing.unit("x", SLEEP)
    repairing.update()
    repairing.unit("other", SLEEP)
    repairing.update()
    repairing.runner.settle({"node001": {"x": Wish(autostart=False), "other": Wish()}})
    os.kill(repairing.pid("other"), signal.SIGKILL)
    wait_until(lambda: len(repairing.told) == 2)  # so a check has passed: x never ran, so it did not die
    repairing.told.clear()
    repairing.runner.act("start", "node001", "x")
    os.kill(repairing.pid("x"), signal.SIGKILL)
    wait_until(lambda: repairing.told)
    assert (repairing.told, repairing.state("x")) == (["node001: Service x died"], DOWN)


def test_a_service_stopped_through_bcm_stays_stopped(repairing: Site) -> None:
    repairing.unit("x", SLEEP)
    repairing.unit("other", SLEEP)
    repairing.update()
    repairing.settle("x", "other")
    assert repairing.runner.act("stop", "node001", "x")
    os.kill(repairing.pid("other"), signal.SIGKILL)
    wait_until(lambda: "node001: Service other was restarted" in repairing.told)  # so a check has passed
    assert repairing.state("x") is STOPPED
    assert repairing.settle("x", "other") == []
    assert repairing.state("x") is STOPPED
    assert repairing.runner.act("start", "node001", "x")
    assert repairing.state("x") is UP


def test_restart_takes_a_new_process(site: Site) -> None:
    site.unit("x", SLEEP)
    site.update()
    site.settle("x")
    old = site.pid("x")
    assert site.runner.act("restart", "node001", "x")
    assert site.pid("x") != old
    assert not alive(old)


def test_acts_on_what_is_unknown_fail(site: Site) -> None:
    site.settle()
    assert not site.runner.act("start", "node001", "x")
    assert not site.runner.act("start", "node999", "x")
    assert site.runner.states("node999") == {}
    assert site.runner.update(["node999"], site.image, dry_run=False) == {}


def test_ten_failed_starts_are_failing_and_reset_clears(repairing: Site) -> None:
    repairing.script("/usr/bin/fails", 'echo once >> "$1"; exit 3')
    repairing.unit("x", "Type=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/fails /var/lib/count")
    (repairing.image / "var/lib").mkdir(parents=True)
    repairing.update()
    assert repairing.settle("x") == ["node001: Service x could not be started: /usr/bin/fails exited with status 3"]
    assert repairing.state("x") is DOWN
    wait_until(lambda: repairing.state("x") is FAILING)
    attempts = len(repairing.node("/var/lib/count").read_text().split())
    assert attempts >= 10
    wait_until(lambda: len(repairing.node("/var/lib/count").read_text().split()) > attempts + 2)  # they go on
    assert repairing.told == []
    repairing.script("/usr/bin/fails", "exit 0")
    assert repairing.runner.act("reset", "node001", "x")
    assert repairing.state("x") in (DOWN, UP)
    repairing.update()
    wait_until(lambda: repairing.state("x") is UP)


def test_a_daemon_that_dies_at_once_is_failing_too(tmp_path: Path) -> None:
    site = Site(tmp_path, interval=0.05)  # time enough to die between two checks
    try:
        site.unit("x", "ExecStart=/bin/false")
        site.update()
        site.settle("x")
        wait_until(lambda: site.state("x") is FAILING)
        assert "node001: Service x died" in site.told
    finally:
        site.runner.close()


def test_a_missing_unit_is_told_and_comes_up_with_an_update(site: Site) -> None:
    """bcm-facts §13 #17."""
    site.unit("other", SLEEP)
    site.update()
    assert site.settle("x") == ["node001: Service x could not be started: unit x.service not found"]
    assert site.state("x") is DOWN
    assert not site.runner.act("start", "node001", "x")
    site.unit("x", SLEEP)
    told = site.runner.update(["node001"], site.image, dry_run=True)["node001"]
    assert (changed(told.lines), told.error) == (["etc/systemd/system/x.service"], "")
    assert site.state("x") is DOWN
    site.update()
    assert site.state("x") is UP
    assert site.told[-1] == "node001: Service x was started"


def test_an_update_leaves_running_services_alone_and_reads_units_again(site: Site) -> None:
    site.unit("x", SLEEP)
    site.update()
    site.settle("x")
    pid = site.pid("x")
    site.unit("x", "ExecStart=/bin/sleep 2000\nExecStopPost=/bin/touch /var/lib/new")
    (site.image / "var/lib").mkdir(parents=True)
    site.update()
    assert (site.pid("x"), site.state("x")) == (pid, UP)
    site.runner.act("restart", "node001", "x")
    assert site.node("/var/lib/new").exists()
    command_line = Path(f"/proc/{site.pid('x')}/cmdline")
    wait_until(lambda: b"2000" in command_line.read_bytes())  # empty for a moment inside exec


def test_a_oneshot_that_remains_is_up_and_its_stop_commands_run(site: Site) -> None:
    (site.shared / "targets").mkdir()
    site.script("/usr/lib/x/register", 'case "$1" in add) echo "$HOSTNAME" > "$2" ;; del) rm "$2" ;; esac')
    site.unit(
        "target",
        "Type=oneshot\nRemainAfterExit=yes\nEnvironment=FILE=/cm/shared/targets/%H.json\n"
        "ExecStart=/usr/lib/x/register add ${FILE}\nExecStop=/usr/lib/x/register del $FILE",
    )
    site.update()
    site.settle("target")
    target = site.shared / "targets/node001.json"
    assert (site.state("target"), target.read_text(encoding="utf-8")) == (UP, "node001\n")
    site.settle()
    assert not target.exists()
    site.settle("target")
    assert target.exists()
    site.runner.close()  # as a shutdown
    assert not target.exists()


def test_stop_commands_of_a_group_that_ignores_sigterm(site: Site) -> None:
    site.script("/usr/bin/stubborn", "trap '' TERM; sleep 1000 & echo $! > \"$1\"; while :; do sleep 1000; done")
    site.unit("x", "RuntimeDirectory=x\nExecStart=/usr/bin/stubborn ${RUNTIME_DIRECTORY}/pid")
    site.update()
    site.settle("x")
    file = site.node("/run/x/pid")
    wait_until(lambda: file.exists() and file.read_text(encoding="utf-8").strip())
    pids = [site.pid("x"), int(file.read_text(encoding="utf-8"))]
    assert site.runner.act("stop", "node001", "x")
    wait_until(lambda: not any(map(alive, pids)))
    assert not file.parent.exists()


def test_commands_before_and_after_and_what_is_required(site: Site) -> None:
    site.script("/usr/bin/note", 'echo "$1" >> "$LOG"')
    note = "Environment=LOG=/var/lib/log\n"
    site.unit("base", f"{note}ExecStartPre=/usr/bin/note base\n{SLEEP}")
    site.unit(
        "x",
        f"{note}ExecStartPre=-/bin/false\nExecStartPre=/usr/bin/note pre\n{SLEEP}\nExecStartPost=/usr/bin/note post\n"
        "ExecStop=/usr/bin/note stop\nExecStopPost=/usr/bin/note stoppost",
        unit="Requires=base.service\nWants=absent.service",
    )
    (site.image / "var/lib").mkdir(parents=True)
    site.update()
    site.settle("x")
    base = site.pid("base")
    site.settle()
    assert site.node("/var/lib/log").read_text(encoding="utf-8").split() == ["base", "pre", "post", "stop", "stoppost"]
    assert alive(base)
    site.runner.close()
    assert not alive(base)


@pytest.mark.parametrize(
    ("body", "unit", "why"),
    [
        ("ExecStart=/usr/bin/no-such-program", "", "/usr/bin/no-such-program"),
        (f"ExecStartPre=/bin/false\n{SLEEP}", "", "/bin/false exited with status 1"),
        (f"EnvironmentFile=/etc/none\n{SLEEP}", "", "etc/none"),
        (f"WorkingDirectory=/none\n{SLEEP}", "", "none"),
        (SLEEP, "Requires=absent.service", "unit absent.service not found"),
        ("Type=forking\nExecStart=/bin/true", "", "not simulated"),
    ],
)
def test_why_a_service_did_not_start_is_told(site: Site, body: str, unit: str, why: str) -> None:
    site.unit("x", body, unit)
    site.update()
    events = site.settle("x")
    assert len(events) == 1
    assert events[0].startswith("node001: Service x could not be started: ")
    assert why in events[0]
    assert site.state("x") is DOWN


def test_a_condition_that_does_not_hold_skips_the_start(site: Site) -> None:
    site.unit("x", SLEEP, unit="ConditionPathExists=/etc/wanted")
    site.update()
    site.settle("x")
    assert site.state("x") is DOWN
    (site.image / "etc/wanted").touch()
    site.update()
    assert site.state("x") is UP


def test_paths_addresses_and_variables_are_the_nodes(site: Site) -> None:
    site.script("/usr/bin/show", 'printf "%s\\n" "$@" "$PWD" "$HOSTNAME" "$LISTEN" "$PLACE"; printf problem >&2')
    (site.image / "etc/app").mkdir(parents=True)
    (site.image / "proc").mkdir()
    (site.image / "etc/app/env").write_text("ARGS='--listen=0.0.0.0:9 /etc/app/new'\n")
    site.unit(
        "x",
        "Type=oneshot\nRemainAfterExit=yes\nEnvironment=LISTEN=[::]:7 PLACE=/etc/app\nEnvironmentFile=/etc/app/env\n"
        "ExecStart=/usr/bin/show :9100 --web=:9100 10.0.0.1:9 -f /etc/app/file --none=/no/such/dir $ARGS "
        "--proc=/proc/stat /cm/shared/ %l",
    )
    site.update()
    site.settle("x")
    root, address = site.node(""), "127.83.18.1"
    assert site.node("/var/log/x.log").read_text(encoding="utf-8").splitlines() == [
        *(f"{address}:9100", f"--web={address}:9100", "10.0.0.1:9", "-f", f"{root}/etc/app/file"),
        *("--none=/no/such/dir", f"--listen={address}:9", f"{root}/etc/app/new", "--proc=/proc/stat"),
        *(f"{site.shared}/", "node001", str(root), "node001", f"{address}:7", f"{root}/etc/app", "problem"),
    ]


def test_a_node_has_its_own_host_name_and_the_shared_storage(site: Site) -> None:
    (site.image / "cm/shared").mkdir(parents=True)
    site.update()
    assert site.node("/etc/hostname").read_text(encoding="utf-8") == "node001\n"
    assert site.node("/cm/shared").readlink() == site.shared


def test_many_services_on_many_nodes_start_and_stop_quickly(tmp_path: Path) -> None:
    site = Site(tmp_path, count=4)
    try:
        seed_image(site.image)
        services = ("cgroup_exporter", "nvidia_gpu_exporter", "sleep1", "sleep2")
        site.unit("cgroup_exporter", "ExecStart=/usr/local/bin/cgroup_exporter --web.listen-address=:9306")
        site.unit("nvidia_gpu_exporter", "ExecStart=/usr/local/bin/nvidia_gpu_exporter -web.listen-address=:9445")
        site.unit("sleep1", SLEEP)
        site.unit("sleep2", SLEEP)
        site.update()
        begin = time.monotonic()
        assert len(site.settle(*services)) == 16
        started = time.monotonic() - begin
        assert {state for name in site.names for state in site.runner.states(name).values()} == {UP}
        pids = [site.runner.pid(name, service) for name in site.names for service in services]
        begin = time.monotonic()
        assert len(site.settle()) == 16
        stopped = time.monotonic() - begin
        assert not any(alive(pid) for pid in pids if pid)
        assert (started < 3, stopped < 3) == (True, True)  # 0.2 s and 0.05 s on two free cores
    finally:
        site.runner.close()


def test_close_leaves_nothing_even_of_what_left_its_group(site: Site) -> None:
    site.script("/usr/bin/escapes", 'setsid sleep 1000 & echo $! > "$1"; exec sleep 1000')
    site.unit("x", "RuntimeDirectory=x\nExecStart=/usr/bin/escapes /run/x/pid")
    site.update()
    site.settle("x")
    file = site.node("/run/x/pid")
    wait_until(lambda: file.exists() and file.read_text(encoding="utf-8").strip())
    escaped = int(file.read_text(encoding="utf-8"))
    site.runner.close()
    wait_until(lambda: not alive(escaped))
    site.runner.close()


def test_services_do_not_survive_a_killed_daemon(tmp_path: Path) -> None:
    units = tmp_path / "node/etc/systemd/system"
    units.mkdir(parents=True)
    (units / "x.service").write_text("[Service]\nExecStart=/bin/sh -c 'sleep 1000 & wait'\n")
    program = (
        "import sys, time; from pathlib import Path\n"
        "from bcm_jobstats.simulator.noderunner import SimulatedNode, Wish\n"
        "from bcm_jobstats.simulator.processnodes import ProcessNodes\n"
        "base = Path(sys.argv[1])\n"
        "nodes = ProcessNodes([SimulatedNode('n', '127.0.0.1', base / 'node')], shared=base)\n"
        "nodes.settle({'n': {'x': Wish()}}); print(nodes.pid('n', 'x'), flush=True); time.sleep(1000)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(bcm_jobstats.__file__).parents[1])}
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as daemon:
        assert daemon.stdout
        pid = int(daemon.stdout.readline())
        assert alive(pid)
        children = Path(f"/proc/{pid}/task/{pid}/children")
        wait_until(lambda: children.read_text(encoding="utf-8").split())
        child = int(children.read_text(encoding="utf-8").split()[0])
        daemon.kill()
    wait_until(lambda: not alive(pid) and not alive(child))


def test_a_paper_node_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file tree"):
        ProcessNodes([SimulatedNode("n", "127.0.0.1")], shared=tmp_path)
