"""The simulator as a whole: a daemon process, the real cmsh, many nodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.simulator import Simulator, SimulatorError

SET = "configurationoverlay; set slurm-client revision x; commit"


def cmsh(simulator: Simulator, *argv: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([simulator.cmsh, *argv], input=text, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    started = Simulator.start(tmp_path / "head", node_kind="paper")
    yield started
    started.stop()


def test_it_starts_answers_and_ends(simulator: Simulator) -> None:
    directory = simulator.directory
    assert cmsh(simulator, "-n", "-c", "device get dgx-01 category").stdout == "dgx-h100\n"
    link = directory / "cm/local/apps/cmd/bin/cmsh"
    assert link.resolve() == simulator.cmsh.resolve()
    assert cmsh(simulator, text="main versioninfo\n").stdout.startswith("main versioninfo\nVersion Information")
    assert (directory / "cm/images/dgx-image/etc/passwd").is_file()
    assert "10" in (directory / "etc/cm-release").read_text()
    assert simulator.status()["running"] and simulator.status()["objects"]["device"] == 6
    addresses = simulator.addresses()
    assert len(set(addresses.values())) == 6 and addresses["bcm-head"].endswith(".254")
    pid = simulator.pid
    simulator.stop()
    assert simulator.pid is None and pid is not None
    assert "Unable to connect" in cmsh(simulator, "-c", "device list").stderr
    assert not (directory / "cmd/daemon.sock").exists()


def test_it_goes_on_from_its_last_state(simulator: Simulator) -> None:
    cmsh(simulator, "-n", "-c", "configurationoverlay; set slurm-client revision kept; commit")
    state, addresses = simulator.state(), simulator.addresses()
    simulator.stop()
    again = Simulator.start(simulator.directory, nodes=9)
    try:
        assert (again.state(), again.addresses()) == (state, addresses)
        assert Simulator.attach(simulator.directory).status()["node_kind"] == "paper"
        with pytest.raises(SimulatorError, match="already running"):
            Simulator.start(simulator.directory)
    finally:
        again.stop()


def test_two_run_at_once_on_their_own_networks(simulator: Simulator, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-directory-with-a-long-name"] * 4)
    other = Simulator.start(deep, node_kind="paper", nodes=1, logins=0)
    try:
        assert not set(other.addresses().values()) & set(simulator.addresses().values())
        assert cmsh(other, "-n", "-c", "device get dgx-01 category").stdout == "dgx-h100\n"
    finally:
        other.stop()


def test_it_does_not_matter_where_one_stands(tmp_path: Path) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); from bcm_jobstats.simulator import Simulator; "
    root = str(Path(__file__).parents[2])
    arguments = [sys.executable, "-c", code + "Simulator.start('x', node_kind='paper')", root]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(arguments, cwd=tmp_path, env=environment, check=True, timeout=60)
    started = Simulator.attach(tmp_path / "x")
    try:
        assert cmsh(started, "-n", "-c", "device get dgx-01 category").stdout == "dgx-h100\n"
    finally:
        started.stop()


def test_an_unreachable_daemon_is_told_by_the_switch(tmp_path: Path) -> None:
    started = Simulator.start(tmp_path, node_kind="paper", switches={"exit_status": "honest"})
    started.stop()
    answer = cmsh(started, "-c", "device list")
    assert (answer.returncode, answer.stdout) == (1, "")


def test_a_connection_breaks_in_the_middle_of_output(simulator: Simulator) -> None:
    simulator.control({"op": "fault", "kind": "drop_output", "lines": 3})
    answer = cmsh(simulator, "-n", "-c", "device; list; list")
    assert len(answer.stdout.splitlines()) == 3 and "lost" in answer.stderr
    assert len(cmsh(simulator, "-n", "-c", "device; list").stdout.splitlines()) == 8


@pytest.mark.parametrize("kind", ["hang_connect", "hang_commit"])
def test_a_hang_lasts_until_it_is_released(simulator: Simulator, kind: str) -> None:
    simulator.control({"op": "fault", "kind": kind})
    command = [str(simulator.cmsh), "-n", "-c", SET + "; main versioninfo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        assert "revision" not in json.dumps(simulator.state())
        simulator.control({"op": "release"})
        assert "Version" in process.communicate(timeout=60)[0]
    assert "revision" in json.dumps(simulator.state())


def test_ending_the_daemon_frees_what_hangs(simulator: Simulator) -> None:
    simulator.control({"op": "fault", "kind": "hang_commit"})
    command = [str(simulator.cmsh), "-n", "-c", SET]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        simulator.stop()
        assert "lost" in process.communicate(timeout=60)[1]
    assert "revision" not in json.dumps(simulator.state())


def test_a_commit_does_not_wait_for_services(tmp_path: Path) -> None:
    started = Simulator.start(tmp_path, node_kind="paper", switches={"settle_delay": "30"})
    try:
        begun = time.monotonic()
        cmsh(started, "-n", "-c", "category; services login; add x; set autostart yes; commit")
        assert started.control({"op": "services", "node": "login-01"})["result"] == {}
    finally:
        started.stop()
    assert time.monotonic() - begun < 20


@pytest.mark.slow
def test_a_role_runs_processes_and_nothing_survives(tmp_path: Path) -> None:
    mark = f"86400.{os.getpid()}"
    started = Simulator.start(tmp_path, nodes=1, logins=0)
    try:
        unit = tmp_path / "cm/images/dgx-image/etc/systemd/system/sleeper.service"
        unit.write_text(f"[Service]\nExecStart=/bin/sleep {mark}\n")
        cmsh(started, "-n", "-c", "device; imageupdate -c dgx-h100 -w --wait")
        role = "roles; assign generic::x; set services sleeper; commit"
        cmsh(started, "-n", "-c", f"configurationoverlay; add x; set categories dgx-h100; {role}")
        started.control({"op": "wait_idle"})
        assert started.control({"op": "services", "node": "dgx-01"})["result"] == {"sleeper": "UP"}
        assert "[   UP   ]" in cmsh(started, "-n", "-c", "device; services dgx-01; status").stdout
        assert len(sleepers(mark)) == 1
    finally:
        started.stop()
    assert sleepers(mark) == []


def sleepers(mark: str) -> list[int]:
    """The processes that were started with a mark among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words and words[0].endswith(b"sleep"):
            found.append(int(path.parent.name))
    return found


@pytest.mark.slow
def test_ten_thousand_nodes(tmp_path: Path) -> None:
    started = Simulator.start(tmp_path, node_kind="paper", nodes=10_000)
    try:
        loop = cmsh(started, "-n", "-c", "device; foreach -l slurmclient (get hostname; roles; list -d {})")
        assert loop.stdout.count("[overlay:slurm-client] slurmclient") == 10_000
        told = cmsh(started, "-n", "-c", "device; list -f hostname:64,category:64,type,ip,status -d {}")
        assert len(json.loads(told.stdout)) == 10_002
    finally:
        started.stop()
