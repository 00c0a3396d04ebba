"""The stand-in exporters as programs that serve HTTP, also from a software image."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bcm_jobstats.simulator import standin_exporters
from bcm_jobstats.simulator.imageseed import programs, seed_image
from bcm_jobstats.simulator.standin_exporters.server import listen_address, read_options
from tests.simulator.exporterpages import lay

ADDRESS = "127.83.17.1"
DIRECTORY = str(Path(standin_exporters.__file__).parent)
SAMPLE = re.compile(r'[a-zA-Z_]\w*(\{(\w+="[^"]*",?)*\})? -?[0-9][0-9.e+-]*')


def ask(port: int, request: bytes = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") -> str:
    """The answer to `request`, once the exporter listens (bounded)."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with socket.create_connection((ADDRESS, port), timeout=10) as connection:
                connection.sendall(request)
                return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "the exporter never listened"
            time.sleep(0.002)


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-I", "-S", "-B", DIRECTORY, *arguments]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def _node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTNAME", "node001")
    for name in ("BCM_SIMULATED_ADDRESS", "DCGM_EXPORTER_LISTEN", "DCGM_HPC_JOB_MAPPING_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("port", "arguments"),
    [
        (9100, ("node_exporter", f"--web.listen-address={ADDRESS}:9100", "--collector.cpu", "--path.rootfs", "/")),
        (9306, ("cgroup_exporter", "--path.cgroup.root", "/sys/fs/cgroup", "--web.listen-address", f"{ADDRESS}:9306")),
        (9445, ("nvidia_gpu_exporter", f"-web.listen-address={ADDRESS}:9445")),
        (9400, ("dcgm_exporter", "-f", "/nothing.csv", "-a", f"{ADDRESS}:9400")),
    ],
)
def test_each_kind_serves_prometheus_text(port: int, arguments: tuple[str, ...]) -> None:
    with running(*arguments):
        for _ in range(3):
            head, _, body = ask(port).partition("\r\n\r\n")
            assert head.startswith("HTTP/1.1 200 OK\r\n")
            assert "Content-Type: text/plain; version=0.0.4" in head
            assert f"Content-Length: {len(body)}\r\n" in head
            lines = [line for line in body.splitlines() if not line.startswith("# ")]
            assert f'bcm_jobstats_simulated_exporter{{kind="{arguments[0]}"}} 1' in lines
            assert [line for line in lines if not SAMPLE.fullmatch(line)] == []


def test_the_address_may_come_from_dcgm_exporters_variable() -> None:
    with running("dcgm_exporter", DCGM_EXPORTER_LISTEN=f"{ADDRESS}:9401"):
        assert "DCGM_FI_DEV_GPU_UTIL" in ask(9401)


def test_garbage_and_silent_clients_do_no_harm() -> None:
    with running("node_exporter", f"--web.listen-address={ADDRESS}:9101") as process:
        assert ask(9101, b"\x16\x03\x01\x00\xff garbage\r\n\r\n").startswith("HTTP/1.1 400 ")
        with socket.create_connection((ADDRESS, 9101)):  # says nothing; others are served meanwhile
            assert ask(9101, b"GET / HTTP/1.1\r\n\r\n").startswith("HTTP/1.1 404 ")
        socket.create_connection((ADDRESS, 9101)).close()
        with suppress(ConnectionResetError):  # what it left unread makes the kernel say so
            ask(9101, b"x" * 20000)
        assert ask(9101).startswith("HTTP/1.1 200 ")
        assert process.poll() is None


def test_a_taken_address_is_said_and_ends_the_exporter() -> None:
    with socket.socket() as taken:
        taken.bind((ADDRESS, 9102))
        taken.listen()
        with running("node_exporter", f"--web.listen-address={ADDRESS}:9102") as process:
            _, said = process.communicate(timeout=10)
    assert process.returncode == 1
    assert b"Address already in use" in said


def test_it_starts_from_a_directory_with_a_slash_at_its_end() -> None:
    done = subprocess.run([sys.executable, "-I", "-S", "-B", f"{DIRECTORY}/"], capture_output=True, check=False)
    assert (done.returncode, done.stderr[:6]) == (64, b"usage:")


def test_an_unknown_kind_is_a_usage_error() -> None:
    with running("no_exporter") as process:
        assert process.wait(timeout=10) == 64


def test_cgroup_exporter_refuses_the_flag_of_its_old_builds() -> None:
    with running("cgroup_exporter", "--config.paths=/slurm") as process:
        assert process.wait(timeout=10) == 1


def test_flags_in_all_their_forms() -> None:
    options = read_options(["--a=1", "-b=2", "--c", "3", "--flag", "-d", "4", "--a=5", "--last"])
    assert options == {"a": "5", "b": "2", "c": "3", "flag": "", "d": "4", "last": ""}


def test_the_address_of_the_node_stands_in_for_a_wildcard(monkeypatch: pytest.MonkeyPatch) -> None:
    assert listen_address("node_exporter", {}) == ("0.0.0.0", 9100)
    monkeypatch.setenv("BCM_SIMULATED_ADDRESS", "127.0.0.7")
    assert listen_address("nvidia_gpu_exporter", {}) == ("127.0.0.7", 9445)
    assert listen_address("dcgm_exporter", {"a": ":9999"}) == ("127.0.0.7", 9999)


def test_an_exporter_of_an_image_reads_the_node_it_runs_on(tmp_path: Path) -> None:
    seed_image(tmp_path)
    lay(tmp_path, {"run/gpustat/1": "4711 1001\n", "run/map/2": "4712\n", "dev/nvidia4": ""})
    lay(tmp_path, {"sys/fs/cgroup/cpuacct/slurm/uid_1001/job_4711/cpuacct.usage": "5000000000\n"})
    before = set(tmp_path.rglob("*"))
    for program, flag, found in (
        ("usr/local/bin/cgroup_exporter", "", 'cgroup_cpu_total_seconds{jobid="4711",step="",task=""} 5\n'),
        ("usr/local/bin/nvidia_gpu_exporter", "", 'nvidia_gpu_duty_cycle{minor_number="4",ordinal="0",'),
        ("usr/bin/dcgm-exporter", f"--hpc-job-mapping-dir={tmp_path}/run/map", 'DCGM_FI_DEV_GPU_TEMP{gpu="0",'),
    ):
        command = [str(tmp_path / program), f"--web.listen-address={ADDRESS}:9103", flag]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            try:
                assert found in ask(9103)
            finally:
                process.kill()
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("has", "runs", "lacks"),
    [
        (("usr/bin/python3", "usr/bin/prometheus-node-exporter"), "exec /usr/bin/prometheus-node-exporter", "python"),
        (("usr/bin/python3",), "for python in /usr/bin/python3; do", sys.executable),
    ],
)
def test_a_whole_system_runs_its_own_programs(tmp_path: Path, has: tuple[str, ...], runs: str, lacks: str) -> None:
    lay(tmp_path, {**dict.fromkeys(has, ""), "usr/local/bin/jq": ""})
    programs(tmp_path)
    programs(tmp_path)  # an image that is made again
    text = (tmp_path / "usr/local/bin/node_exporter").read_text()
    assert runs in text
    assert lacks not in text
    assert "for python in /usr/bin/python3; do" in (tmp_path / "usr/local/bin/cgroup_exporter").read_text()


@pytest.mark.parametrize(("kind", "told"), [("cgroup_exporter", "0.3.3"), ("dcgm_exporter", "4.8.2")])
def test_it_tells_its_version_and_ends(kind: str, told: str) -> None:
    command = [sys.executable, "-I", "-S", "-B", DIRECTORY, kind, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"version {told}" in done.stdout
