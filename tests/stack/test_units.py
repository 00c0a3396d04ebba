"""The units before systemd's own judgement, and node_exporter's arguments before a real node_exporter."""

from __future__ import annotations

import re
import shutil
import socket
import stat
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from bcm_jobstats.node import main, systemd
from bcm_jobstats.node.__main__ import TOO_OLD
from bcm_jobstats.node.asking import PAUSE
from bcm_jobstats.node.heads import TOTAL
from bcm_jobstats.node.lookup import LONGEST as LOOKUP
from bcm_jobstats.node.runner import SETTLING
from bcm_jobstats.site import load_site
from bcm_jobstats.stack import Stack, load_definitions

ROLES = ("jobstats", "dcgm-exporter")
SWEEP = "jobstats-sweep"
GPUS = "jobstats-gpus"
ROOTS = (SWEEP, GPUS)
"""The units that run as root."""
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
NODE_EXPORTER = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")
UNITS = [
    "cgroup_exporter",
    "dcgm-exporter",
    "dcgm-exporter-target",
    "jobstats-gpus",
    "jobstats-sweep",
    "jobstats-target",
    "node_exporter",
    "nvidia_gpu_exporter",
]
EXPOSED = {
    "dcgm-exporter": 40,
    "nvidia_gpu_exporter": 40,
    "jobstats-gpus": 20,
    "jobstats-sweep": 18,
    "jobstats-target": 10,
    "dcgm-exporter-target": 10,
}
"""The most exposure by systemd-analyze security, in tenths; 23 for all others, what the best public unit reaches."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a node with the payload and something at the place of every program."""
    return made(tmp_path_factory.mktemp("node"), "")


@pytest.fixture(scope="module")
def off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a site without hooks."""
    return made(tmp_path_factory.mktemp("off"), "hooks: {enabled: false}\n")


def made(root: Path, text: str) -> Path:
    site_file = root / "site.yaml"
    site_file.write_text(f"roles: {{dcgm-exporter: }}\n{text}")
    definitions = load_definitions()
    stack = Stack(load_site(site_file, definitions), definitions)
    for file in stack.payload(ROLES):
        put(root / file.path[1:], file.content, file.mode)
    for link in stack.links(ROLES, "10.0"):
        (root / link.path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / link.path[1:]).symlink_to(link.target)
    for path in (*(path for _, path in stack.binaries(ROLES)), "/bin/bash", "/usr/bin/systemd-tmpfiles"):
        put(root / path[1:], b"", 0o755)
    return root


def put(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def verify(root: Path, unit: str) -> str:
    """What systemd-analyze says against a unit; any word is a failure, because its status is 0 for an unknown key."""
    command = ["systemd-analyze", f"--root={root}", "verify", "--man=no", "--recursive-errors=no"]
    done = subprocess.run([*command, f"/etc/systemd/system/{unit}"], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr + (f"status {done.returncode}" if done.returncode else "")


MONITOR, ORDERS = "bcm-role-monitor", "bcm-role-monitor-orders"


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a site in mode role-monitor."""
    attach = "{attach: {with_role: slurmclient}}"
    root = tmp_path_factory.mktemp("monitored")
    (root / "site.yaml").write_text(f"enable: {{mode: role-monitor}}\nroles: {{jobstats: , dcgm-exporter: {attach}}}\n")
    definitions = load_definitions()
    stack = Stack(load_site(root / "site.yaml", definitions), definitions)
    programs = (path for _, path in stack.binaries(ROLES))
    for file in stack.payload(ROLES):
        put(root / file.path[1:], file.content, file.mode)
    for path in (*programs, "/bin/bash", "/usr/bin/systemd-tmpfiles", "/bin/ln", "/bin/rm", "/bin/kill"):
        put(root / path[1:], b"", 0o755)
    return root


@needs_systemd
@pytest.mark.parametrize("unit", [f"{MONITOR}.service", f"{ORDERS}.path", f"{ORDERS}.service", "node_exporter.service"])
def test_systemd_has_nothing_against_the_role_monitor(monitored: Path, unit: str) -> None:
    assert verify(monitored, unit) == ""
    assert "[Install]" not in (monitored / f"etc/systemd/system/{unit}").read_text().splitlines()


@needs_systemd
@pytest.mark.parametrize(("unit", "most"), [(MONITOR, 14), (ORDERS, 13)])
def test_the_role_monitor_is_exposed_little(monitored: Path, unit: str, most: int) -> None:
    path = monitored / f"etc/systemd/system/{unit}.service"
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={most}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:]


def test_the_role_monitor_is_not_root_and_root_does_what_is_named(monitored: Path) -> None:
    agent, orders = keys(monitored, MONITOR), keys(monitored, ORDERS)
    assert (agent["User"], agent["Group"]) == (["jobstats"], ["jobstats"])
    assert (orders["User"], orders["SupplementaryGroups"]) == (["root"], ["jobstats"])
    assert agent["CapabilityBoundingSet"] == orders["CapabilityBoundingSet"] == [""]
    script = "/usr/lib/bcm-jobstats/role-monitor-orders /run/bcm-role-monitor/orders"
    exporters = {path.stem for path in monitored.glob("etc/systemd/system/*exporter.service")}
    assert orders["ExecStart"][0].startswith(f"{script} ")
    assert set(orders["ExecStart"][0].removeprefix(script).split()) == exporters and len(exporters) == 4
    path = (monitored / f"etc/systemd/system/{ORDERS}.path").read_text().splitlines()
    assert "DirectoryNotEmpty=/run/bcm-role-monitor/orders" in path
    assert agent["RuntimeDirectory"] == ["bcm-role-monitor bcm-role-monitor/orders"]
    assert all(keys(monitored, name)["PartOf"] == [f"{MONITOR}.service"] for name in exporters)


def test_the_role_monitor_writes_where_targets_are_and_waits_for_no_storage(monitored: Path) -> None:
    told = keys(monitored, MONITOR)
    assert told["ReadWritePaths"] == ["-/cm/shared/apps/jobstats"]
    assert "RequiresMountsFor" not in told
    assert (told["Type"], told["NotifyAccess"], told["Restart"]) == (["notify"], ["main"], ["always"])
    assert told["ProtectHostname"] == ["no"], "else it would never see that the node was renamed"
    assert f"{ORDERS}.path" in told["Wants"][0].split() and f"{ORDERS}.path" in told["After"][0].split()
    assert f"{SWEEP}.timer" in told["Wants"][0].split()


def test_systemd_is_more_patient_than_the_role_monitor(monitored: Path) -> None:
    """With four head nodes, targets in two directories, and nothing that answers."""
    told = keys(monitored, MONITOR)
    heads = 4 * 2 * (TOTAL + LOOKUP)
    storage = main.STORAGE_SECONDS
    services = 3 * systemd.ASKING + systemd.CARRIED_OUT + SETTLING
    assert heads + PAUSE + 4 * storage + services < int(told["WatchdogSec"][0])
    assert 2 * 2 * storage < int(told["TimeoutStopSec"][0]), "each directory: what was begun before, and its own"
    assert told["RestartPreventExitStatus"] == [str(TOO_OLD)], "it would fail alike every 30 seconds, for ever"


def test_every_unit_is_looked_at(tree: Path) -> None:
    assert sorted(path.stem for path in (tree / "etc/systemd/system").glob("*.service")) == UNITS


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_against_the_unit(tree: Path, unit: str) -> None:
    assert verify(tree, f"{unit}.service") == ""


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_against_the_unit_of_a_site_without_hooks(off: Path, unit: str) -> None:
    assert verify(off, f"{unit}.service") == ""


@needs_systemd
def test_systemd_would_say_that_a_command_to_forget_is_no_command(off: Path) -> None:
    text = (off / "etc/systemd/system/dcgm-exporter.service").read_text()
    wrong = text.replace("ExecStartPre=+-/usr", "ExecStartPre=+-usr/")
    assert text != wrong
    put(off / "etc/systemd/system/bad@.service", wrong.encode(), 0o644)
    assert verify(off, "bad@.service")
    (off / "etc/systemd/system/bad@.service").unlink()


@needs_systemd
def test_systemd_has_nothing_against_the_timer(tree: Path) -> None:
    assert verify(tree, "jobstats-sweep.timer") == ""
    lines = (tree / "etc/systemd/system/jobstats-sweep.timer").read_text().splitlines()
    assert "[Install]" not in lines
    when = [line for line in lines if line.startswith("On")]
    assert when == ["OnActiveSec=0", "OnCalendar=*:*:0/20"], "by the clock alone a timer always has a next time"
    command = ["systemd-analyze", "calendar", "--iterations=4", "--base-time=2026-01-01 00:00:01 UTC", "*:*:0/20"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env={"TZ": "UTC"}).stdout
    assert re.findall(r" (\d\d:\d\d:\d\d) UTC", told) == ["00:00:20", "00:00:40", "00:01:00", "00:01:20"]


@needs_systemd
def test_systemd_would_say_so(tree: Path) -> None:
    """The check above can fail: an unknown key, a bad value, a program that is not there."""
    text = (tree / "etc/systemd/system/node_exporter.service").read_text()
    for index, (old, new) in enumerate(
        [
            ("Nice=10", "Nicer=10"),
            ("CPUQuota=50%", "CPUQuota=50%%"),
            ("/usr/local/bin/node_exporter", "/usr/local/bin/gone"),
        ]
    ):
        assert old in text
        put(tree / f"etc/systemd/system/bad{index}@.service", text.replace(old, new).encode(), 0o644)
        assert verify(tree, f"bad{index}@.service"), new
        (tree / f"etc/systemd/system/bad{index}@.service").unlink()


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_is_exposed_no_more_than_it_must(tree: Path, unit: str) -> None:
    path = tree / f"etc/systemd/system/{unit}.service"
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={EXPOSED.get(unit, 23)}"]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:]
    assert re.search(r"exposure level for .*: \d", done.stdout)


def keys(tree: Path, unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (tree / f"etc/systemd/system/{unit}.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("unit", UNITS)
def test_what_every_unit_keeps(tree: Path, unit: str) -> None:
    told = keys(tree, unit)
    assert "[Install]" not in (tree / f"etc/systemd/system/{unit}.service").read_text().splitlines()
    assert told["StartLimitIntervalSec"] == ["0"]
    assert told["SystemCallErrorNumber"] == ["EPERM"], "else a refused call kills (lab §3)"
    assert told["User"] == told["Group"] == ["root" if unit in ROOTS else "jobstats"]
    assert told["NoNewPrivileges"] == ["yes"]
    assert told["CapabilityBoundingSet"] == [""]
    assert told["ProtectSystem"] == ["strict"]
    assert {"MemoryMax", "CPUQuota", "TasksMax", "Nice", "OOMScoreAdjust"} <= set(told)


@pytest.mark.parametrize("unit", [unit for unit in UNITS if not unit.endswith("-target")])
def test_exporters_do_not_hang_on_shared_storage(tree: Path, unit: str) -> None:
    assert "/cm/" not in (tree / f"etc/systemd/system/{unit}.service").read_text()
    assert ("DeviceAllow" in keys(tree, unit)) == (unit in ("dcgm-exporter", "nvidia_gpu_exporter", GPUS))


def test_the_sweeper_comes_with_what_reads_the_maps(tree: Path) -> None:
    wanting = {unit for unit in UNITS if f"{SWEEP}.timer" in " ".join(keys(tree, unit).get("Wants", []))}
    assert wanting == {"dcgm-exporter", "dcgm-exporter-target", "jobstats-target", "nvidia_gpu_exporter"}
    assert keys(tree, "dcgm-exporter")["Wants"] == [f"nvidia-dcgm.service {SWEEP}.timer"]
    timer = (tree / f"etc/systemd/system/{SWEEP}.timer").read_text()
    assert {"StopWhenUnneeded=yes", "StartLimitIntervalSec=0"} <= set(timer.splitlines())


def test_the_sweep_does_not_wait_for_the_driver(tree: Path) -> None:
    told = keys(tree, SWEEP)
    ask = "/usr/lib/bcm-jobstats/gpu-table --check || exec systemctl start --no-block jobstats-gpus.service"
    assert told["ExecStart"] == ["/usr/lib/bcm-jobstats/gpu-sweep", f"-/bin/bash -pc '{ask}'"]


def test_slurmd_waits_for_the_table_but_not_for_ever(tree: Path) -> None:
    told = keys(tree, GPUS)
    assert told["Before"] == ["slurmd.service"]
    assert told["After"] == ["nvidia-persistenced.service systemd-modules-load.service"]
    assert told["ExecStart"] == ["-/usr/lib/bcm-jobstats/gpu-table"], "a failure is no reason not to start slurmd"
    assert (told["TimeoutStartSec"], told["TimeoutStopSec"]) == (["20"], ["2"])
    assert "RemainAfterExit" not in told, "the sweeper could not start it again"
    link = tree / "etc/systemd/system/slurmd.service.wants/jobstats-gpus.service"
    assert str(link.readlink()) == "/etc/systemd/system/jobstats-gpus.service"
    assert not list(tree.glob("etc/systemd/system/slurmd.service.requires/*"))


@pytest.mark.parametrize("unit", ROOTS)
def test_what_runs_as_root_writes_below_run_and_talks_to_nobody(tree: Path, unit: str) -> None:
    told = keys(tree, unit)
    assert told["ReadWritePaths"] == ["/run"]
    assert told["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert told["DevicePolicy"] == ["closed"]


def test_without_hooks_an_exporter_waits_for_a_sweep_and_then_forgets(off: Path) -> None:
    for unit in ("dcgm-exporter", "nvidia_gpu_exporter"):
        told = keys(off, unit)
        assert f"{SWEEP}.service" in told["After"][0].split()
        assert SWEEP not in " ".join(told.get("Wants", []))
        assert len(told["ExecStartPre"]) == 1
    assert not (off / "etc/systemd/system/slurmd.service.wants").exists()


@pytest.mark.skipif(not shutil.which("systemd-tmpfiles"), reason="systemd-tmpfiles is not installed")
def test_systemd_makes_the_directories(tree: Path, tmp_path: Path) -> None:
    """Those above others first, so that none is made on the way with another mode."""
    text = (tree / "etc/tmpfiles.d/bcm-jobstats.conf").read_text().replace("root root", "- -")
    put(tmp_path / "etc/tmpfiles.d/x.conf", text.encode(), 0o644)
    command = ["systemd-tmpfiles", f"--root={tmp_path}", "--create", str(tmp_path / "etc/tmpfiles.d/x.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    made = {str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("run/**/*")}
    names = ("", "/dcgm-job-map", "/dcgm-job-map/.new", "/gpustat", "/gpustat/.new", "/runs", "/textfile")
    assert made == dict.fromkeys(
        ["run/dcgm-job-map", "run/gpustat", *(f"run/bcm-jobstats{name}" for name in names)], 0o755
    )


@pytest.mark.parametrize("role", ["jobstats", "dcgm-exporter"])
def test_the_target_service(tree: Path, role: str) -> None:
    told = keys(tree, f"{role}-target")
    suffix = "" if role == "jobstats" else f" +{role}"
    directory = "/cm/shared/apps/jobstats/prometheus-targets"
    arguments = f"/etc/bcm-jobstats/targets/{role}.json {directory} %H{suffix}"
    assert told["ExecStart"] == [f"/usr/lib/bcm-jobstats/jobstats-target register {arguments}"]
    assert told["ExecStop"] == [f"/usr/lib/bcm-jobstats/jobstats-target withdraw {arguments}"]
    assert told["RequiresMountsFor"] == [directory]
    assert (told["Type"], told["RemainAfterExit"]) == (["oneshot"], ["yes"])


@pytest.mark.skipif(not NODE_EXPORTER, reason="no node_exporter is installed (Debian: prometheus-node-exporter)")
def test_a_real_node_exporter_takes_the_arguments_and_answers(tmp_path: Path) -> None:
    """Also those that a site gives instead of ours: twice the same would be refused."""
    textfiles = tmp_path / "textfiles"
    textfiles.mkdir()
    (textfiles / "x.prom").write_text("x_of_the_site 1\n")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    site_file = tmp_path / "site.yaml"
    own = f"[--collector.textfile.directory={textfiles}, --collector.schedstat]"
    site_file.write_text(f"exporters: {{node_exporter: {{port: {port}, arguments: {own}}}}}\n")
    stack = Stack(load_site(site_file), load_definitions())
    (exporter,) = (one for one in stack.role("jobstats").exporters if one.name == "node_exporter")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([str(NODE_EXPORTER), *exporter.arguments], stdout=log, stderr=log)
    try:
        metrics = scrape(f"http://127.0.0.1:{port}/metrics")
    finally:
        process.terminate()
        process.wait(10)
    assert process.returncode in (0, -15), (tmp_path / "log").read_text()
    assert "node_memory_MemTotal_bytes " in metrics
    assert 'node_scrape_collector_success{collector="filesystem"} 1' in metrics
    assert 'collector="arp"' not in metrics
    assert 'collector="schedstat"' in metrics
    assert "x_of_the_site 1" in metrics


def scrape(url: str) -> str:
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(answer.read(), "utf-8")
        except OSError:
            time.sleep(0.1)
    return ""
