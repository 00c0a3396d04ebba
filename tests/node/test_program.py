"""The program as nodes have it: one file, Python's own library, a real head node, real signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import pytest

from bcm_jobstats.node import main
from bcm_jobstats.node.config import CONFIG, RUN, STATE, load
from bcm_jobstats.node.state import State, encode
from bcm_jobstats.node.storage import Storage
from bcm_jobstats.node.targetfiles import TargetFiles
from bcm_jobstats.simulator import pki
from bcm_jobstats.stack import agent, targets
from tests.bcm.https import Server, serving
from tests.harness import until
from tests.node import tlshead
from tests.node.fakes import FakeServices
from tests.node.systemctl import Systemctl

PYTHON = Path("/usr/bin/python3")
NAMESPACE = ["unshare", "--mount", "--uts"]
EXPORTERS = ["node_exporter", "cgroup_exporter", "nvidia_gpu_exporter"]
MOST = 25_000
"""kB of memory (VmHWM), as the issue asks for."""


def may_unshare() -> bool:
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def old() -> bool:
    code = "import sys; sys.exit(sys.version_info < (3, 9))"
    return not PYTHON.exists() or subprocess.run([PYTHON, "-c", code], check=False).returncode != 0


pytestmark = [
    pytest.mark.skipif(old(), reason=f"no {PYTHON} from 3.9 on"),
    pytest.mark.skipif(not shutil.which("systemctl"), reason="no systemctl that a stand-in could lie over"),
    pytest.mark.skipif(not may_unshare(), reason="no right to make name spaces"),
]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tlshead.prepare(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def head(keys: Path) -> Iterator[Server]:
    with serving(keys) as server:
        yield server


class Node:
    """A node named dgx-01 with the program, a stand-in for systemctl, and shared storage."""

    def __init__(self, root: Path, keys: Path, port: int, **more: Any) -> None:
        self.root, self.targets = root, root / "shared/prometheus-targets"
        self.targets.mkdir(parents=True)
        (self.targets.parent / targets.STAGING).mkdir()
        (root / RUN.relative_to("/")).mkdir(parents=True)
        self.ctl = Systemctl(root / "systemd", *EXPORTERS)
        self.program = root / "role-monitor"
        self.program.write_bytes(agent.program())
        self.program.chmod(0o755)
        self.config = root / CONFIG.relative_to("/")
        self.config.parent.mkdir(parents=True)
        self.textfile = root / RUN.relative_to("/") / "x.prom"
        files = {"cert_path": keys / tlshead.PEM, "key_path": keys / tlshead.KEY, "ca_path": keys / pki.CA}
        settings = {"bcm_headnodes": [tlshead.ADDRESS], "bcm_port": port, "prometheus_targets_dir": self.targets}
        self.write({**files, **settings, "check_interval": 1, "textfile": self.textfile, **more})

    def write(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.config.write_text(json.dumps(settings, default=str))

    def command(self, *words: str, by: Sequence[str] = ()) -> list[str]:
        inside = f'mount --bind {self.ctl.program} "$(command -v systemctl)"; hostname dgx-01; exec "$@"'
        return [*NAMESPACE, "sh", "-ec", inside, "-", *by, str(self.program), "--root", str(self.root), *words]

    def once(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command("--once", *words), capture_output=True, text=True, check=False, timeout=60)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.targets.iterdir())

    def known(self) -> Optional[bool]:
        path = self.root / STATE.relative_to("/") / "dgx-01_state.json"
        return json.loads(path.read_text())["has_slurmclient_role"] if path.exists() else None


@pytest.fixture
def node(tmp_path: Path, keys: Path, head: Server) -> Node:
    head.says(tlshead.says(tlshead.listed(dgx_01=["slurmclient"])))
    return Node(tmp_path, keys, tlshead.port(head))


def test_once_puts_things_right_and_says_what_there_is(node: Node, head: Server) -> None:
    done = node.once("--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["host"], told["role"], told["has_role"], told["known"]) == ("dgx-01", "slurmclient", True, True)
    assert told["services"] == dict.fromkeys(EXPORTERS, "active") == node.ctl.states()
    assert told["targets"] == {"dgx-01.json": True}
    assert told["changes"][:2] == ["dgx-01 has slurmclient", f"started {', '.join(EXPORTERS)}"]
    assert told["problems"] == []
    assert node.files() == ["dgx-01.json"]
    assert not node.textfile.exists(), "those metrics are the service's"
    head.says(tlshead.says(tlshead.listed(dgx_01=[])))
    done = node.once()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("dgx-01: role slurmclient: does not have it since 20")
    assert (node.files(), set(node.ctl.states().values())) == ([], {"inactive"})


def test_a_dry_run_says_all_that_and_does_none_of_it(node: Node) -> None:
    done = node.once("--dry-run")
    assert done.returncode == 0
    assert f"would start {', '.join(EXPORTERS)}" in done.stdout
    assert f"would write {node.targets}/dgx-01.json" in done.stdout
    assert (node.files(), node.known(), set(node.ctl.states().values())) == ([], None, {"inactive"})
    assert {call.split()[0] for call in node.ctl.calls()} == {"show"}


def test_the_command_line_goes_before_the_file(node: Node) -> None:
    other = node.root / "shared/other"
    other.mkdir()
    assert node.once("--prometheus-targets-dir", str(other)).returncode == 0
    assert (node.files(), [path.name for path in other.iterdir()]) == ([], ["dgx-01.json"])
    elsewhere = node.root / "elsewhere.json"
    elsewhere.write_text(json.dumps({**node.settings, "role": "login"}, default=str))
    assert "role login: does not have it" in node.once("--config", str(elsewhere)).stdout


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["--json"], 64, "--json goes with --once"),
        (["--once", "--prometheus-targets-dir", "here"], 64, "not an absolute path"),
        (["--bogus"], 64, "unrecognized"),
        (["--once", "--config", "/nowhere.json"], 65, "/nowhere.json"),
    ],
)
def test_what_cannot_be_done_has_a_status_of_its_own(node: Node, words: list[str], status: int, text: str) -> None:
    done = subprocess.run(node.command(*words), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (status, "")
    assert text in done.stderr and "Traceback" not in done.stderr


def test_once_tells_what_is_wrong_by_its_status(node: Node, head: Server) -> None:
    node.ctl.mark("broken.node_exporter.service")
    done = node.once()
    assert done.returncode == 1
    assert "problem: service node_exporter: " in done.stdout
    head.says(tlshead.says({"errormessage": "no"}))
    done = node.once("--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["known"], told["has_role"]) == (69, False, True)
    assert node.files() == ["dgx-01.json"], "unknown changes nothing"
    node.config.write_text('{"bcm_port": 99999,')
    done = node.once("--json")
    assert (done.returncode, json.loads(done.stderr)["error"]["status"]) == (65, 65)


STOPPED = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
os.kill(os.getpid(), signal.SIGTERM)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a program that is told to stop from its very start."""


class Service:
    """The program as systemd runs it."""

    def __init__(self, node: Node, by: Sequence[str] = ()) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(node.root / "notify"))
        self.socket.settimeout(60)
        self.log = node.root / "log"
        environment = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(node.root / "notify")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(node.command(by=by), stderr=log, stdout=log, env=environment)

    def told(self, text: str) -> str:
        """The next message to systemd that has this in it; one comes every second at least."""
        lines = []
        for _ in range(40):
            lines.append(self.socket.recv(10_000).decode())
            if text in lines[-1]:
                return lines[-1]
        return str(pytest.fail(f"{text!r} was not told: {lines[-3:]}\n{self.log.read_text()}"))

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.socket.close()


def test_as_a_service_it_follows_the_role_and_leaves_nothing(node: Node, head: Server) -> None:
    head.says(tlshead.says(tlshead.listed(dgx_01=["slurmclient"], **{f"node{n:04}": [] for n in range(1000)})))
    with Service(node) as service:
        service.told("READY=1")
        service.told("role slurmclient: yes; 3 of 3 services run; 1 target files")
        service.told("role slurmclient: yes")
        assert memory(service.process.pid) <= MOST
        head.says(tlshead.says(tlshead.listed(dgx_01=[])))
        service.told("role slurmclient: no; 0 of 3 services run; 0 target files")
        assert set(node.ctl.states().values()) == {"inactive"}
        head.says(tlshead.says(tlshead.listed(dgx_01=["slurmclient"])))
        service.told("role slurmclient: yes; 3 of 3 services run; 1 target files")
        assert 'bcm_role_monitor_role_present{role="slurmclient"} 1' in node.textfile.read_text()
        assert service.stop() == 0
        service.told("STOPPING=1")
    assert (node.files(), node.known()) == ([], True)
    assert "Traceback" not in service.log.read_text()


def memory(process: int) -> int:
    """The most that a process has had, in kB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


def test_a_bad_configuration_keeps_it_up_until_it_is_mended_and_told(node: Node) -> None:
    sound = node.config.read_text()
    node.config.write_text("{")
    with Service(node) as service:
        service.told("no sound configuration")
        assert service.process.poll() is None
        node.config.write_text(sound)
        service.process.send_signal(signal.SIGHUP)
        service.told("role slurmclient: yes; 3 of 3 services run; 1 target files")
        assert service.log.read_text().count(str(node.config)) == 1
        assert service.stop() == 0


def test_killed_it_goes_on_where_it_was(node: Node, head: Server) -> None:
    with Service(node) as service:
        service.told("1 target files")
    (node.root / "notify").unlink()
    (node.targets / "dgx-01.json").unlink()
    node.ctl.be("node_exporter", "failed")
    head.says(tlshead.says({"errormessage": "no"}))
    with Service(node) as service:
        until(lambda: node.files() == ["dgx-01.json"] and node.ctl.states()["node_exporter"] == "active")
        assert service.stop() == 0


def test_told_to_stop_as_it_starts_it_leaves_no_target_of_one_that_was_killed(node: Node) -> None:
    (node.targets / "dgx-01.json").write_text("stale")
    with Service(node, [str(PYTHON), "-ISc", STOPPED]) as service:
        assert service.process.wait(60) == 0
        assert "READY" not in service.told("STOPPING=1")
    assert (node.files(), "Traceback" in service.log.read_text()) == ([], False)


def test_it_goes_on_when_nobody_reads_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with open(writes, "w", buffering=1) as stderr:  # noqa: PTH123
        monkeypatch.setattr(sys, "stderr", stderr)
        for _ in range(2):
            main.speaker()(4, "a line")
        with pytest.raises(BrokenPipeError):
            stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writes)  # what is left in it can be written


def test_one_place_that_hangs_keeps_nothing_else_from_being_done(
    node: Node, head: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The targets' server is away from the start: BCM is asked with a certificate from another one, and followed."""
    head.says(tlshead.says(tlshead.listed(dgx_01=[])))
    knew = State("dgx-01")
    knew.has = True
    store = node.root / STATE.relative_to("/") / "dgx-01_state.json"
    store.parent.mkdir(parents=True)
    store.write_bytes(encode(knew, "slurmclient"))
    services, gone = FakeServices(dict.fromkeys(EXPORTERS, "inactive")), threading.Event()
    monkeypatch.setattr(main, "Systemd", lambda *_: services)
    monkeypatch.setattr(TargetFiles, "_read", lambda *_: gone.wait(60) and None)
    monkeypatch.setattr(TargetFiles, "_remove", lambda *_: gone.wait(60))
    made = main.agent(load(node.config, root=node.root), lambda *_: None, Storage(0.2))
    made.runner.world = made.world = made.world._replace(host=lambda: "dgx-01", sleep=lambda _: None)
    try:
        assert set(made.start_up().services.values()) == {"active"}
        outcome = made.cycle()
    finally:
        gone.set()
    assert (outcome.unknown, outcome.has, set(services.units.values())) == (None, False, {"inactive"})
    assert {problem.subject for problem in outcome.problems} == {str(node.targets)}
    assert "shared storage" in outcome.problems[0].remedy


def test_who_imports_it_gets_signals_as_before() -> None:
    """bcm-jobstats on a head node does, to make the program."""
    code = "import signal, bcm_jobstats.node.__main__; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
