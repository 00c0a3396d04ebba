"""The stand-in exporters: as programs over HTTP, and their pages against peers C4, C6 and C7."""

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

from bcm_jobstats.simulator import standin_exporter
from bcm_jobstats.simulator.standin_exporter import gpu_uuid, listen_address, metrics, read_options, response

ADDRESS = "127.83.17.1"
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
    command = [sys.executable, "-I", "-S", "-E", standin_exporter.__file__, *arguments]
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
        (9306, ("cgroup_exporter", "--config.paths", "/slurm", "--web.listen-address", f"{ADDRESS}:9306")),
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


def test_an_unknown_kind_is_a_usage_error() -> None:
    with running("no_exporter") as process:
        assert process.wait(timeout=10) == 64


def test_flags_in_all_their_forms() -> None:
    options = read_options(["--a=1", "-b=2", "--c", "3", "--flag", "-d", "4", "--a=5", "--last"])
    assert options == {"a": "5", "b": "2", "c": "3", "flag": "", "d": "4", "last": ""}


def test_the_address_of_the_node_stands_in_for_a_wildcard(monkeypatch: pytest.MonkeyPatch) -> None:
    assert listen_address("node_exporter", {}) == ("0.0.0.0", 9100)
    monkeypatch.setenv("BCM_SIMULATED_ADDRESS", "127.0.0.7")
    assert listen_address("nvidia_gpu_exporter", {}) == ("127.0.0.7", 9445)
    assert listen_address("dcgm_exporter", {"a": ":9999"}) == ("127.0.0.7", 9999)


def page(kind: str, **options: str) -> list[str]:
    return metrics(kind, {key.replace("_", "-"): value for key, value in options.items()}, time.time()).splitlines()


def series(lines: list[str], name: str) -> list[str]:
    return [line for line in lines if re.match(rf"{name}[{{ ]", line)]


def test_nvidia_metrics_carry_the_job_of_the_gpustat_map(tmp_path: Path) -> None:
    (tmp_path / "1").write_text("4711 1001\n")
    (tmp_path / "2").write_text("1 1\n")
    (tmp_path / gpu_uuid("node001", 2)).write_text("4712 1002\n")  # counts before the ordinal
    (tmp_path / "3").write_text("garbage\n")
    lines = page("nvidia_gpu_exporter", simulated_gpustat_dir=str(tmp_path))
    duty = series(lines, "nvidia_gpu_duty_cycle")
    assert len(duty) == 8
    labels = f'minor_number="1",ordinal="1",name="NVIDIA H100 80GB HBM3",uuid="{gpu_uuid("node001", 1)}"'
    assert duty[1].startswith(f'nvidia_gpu_duty_cycle{{{labels},jobid="4711",userid="1001"}} ')
    assert 'jobid="4712",userid="1002"' in duty[2]
    assert [line for line in duty if "jobid" not in line] == [duty[i] for i in (0, 3, 4, 5, 6, 7)]
    assert [line.rpartition(" ")[2] for line in series(lines, "nvidia_gpu_jobId")][:4] == ["0", "4711", "4712", "0"]
    assert series(lines, "nvidia_gpu_num_devices") == ["nvidia_gpu_num_devices 8"]
    for name in ("memory_total_bytes", "memory_used_bytes", "power_usage_milliwatts", "temperature_celsius"):
        assert len(series(lines, f"nvidia_gpu_{name}")) == 8
    shares = [float(line.rpartition(" ")[2]) for line in series(lines, "nvidia_gpu_graphics_util_percent")]
    assert 0 < max(shares) <= 1


def test_cgroup_metrics_are_one_group_per_job(tmp_path: Path) -> None:
    for ordinal in ("0", "1"):
        (tmp_path / ordinal).write_text("4711 1001\n")
    lines = page("cgroup_exporter", simulated_gpustat_dir=str(tmp_path))
    assert series(lines, "cgroup_cpus") == ['cgroup_cpus{jobid="4711",step="",task=""} 16']
    assert series(lines, "cgroup_uid") == ['cgroup_uid{jobid="4711"} 1001']
    names = {line.partition("{")[0] for line in lines if not line.startswith("#")}
    assert names == {
        *(f"cgroup_cpu_{kind}_seconds" for kind in ("system", "total", "user")),
        *(f"cgroup_memory_{kind}_bytes" for kind in ("cache", "rss", "shmem", "total", "used")),
        *("cgroup_memory_fail_count", "cgroup_memsw_fail_count", "cgroup_memsw_total_bytes"),
        *("cgroup_memsw_used_bytes", "cgroup_cpus", "cgroup_uid", "bcm_jobstats_simulated_exporter"),
    }
    assert series(page("cgroup_exporter", simulated_gpustat_dir=str(tmp_path / "none")), "cgroup_cpus") == []


def test_dcgm_metrics_come_once_per_job(tmp_path: Path) -> None:
    (tmp_path / "0").write_text("4711\n")
    (tmp_path / "1").write_text("4711\n4712\n")
    (tmp_path / "2").write_text("")
    (tmp_path / ".3.tmp").write_text("9\n")
    (tmp_path / "lock").write_text("9\n")
    util = series(page("dcgm_exporter", hpc_job_mapping_dir=str(tmp_path)), "DCGM_FI_DEV_GPU_UTIL")
    found = [re.findall(r'gpu="(\d)"|hpc_job="(\d+)"', line) for line in util]
    assert ["".join("".join(part) for part in parts) for parts in found] == [
        *("04711", "14711", "14712", "2", "3", "4", "5", "6", "7"),
    ]
    assert 'Hostname="node001"' in util[0]


def test_dcgm_fields_are_those_of_the_counters_file(tmp_path: Path) -> None:
    counters = tmp_path / "counters.csv"
    counters.write_text("# comment\nDCGM_FI_DEV_GPU_TEMP, gauge, GPU temperature (in C).\n")
    lines = page("dcgm_exporter", f=str(counters))
    assert {line.partition("{")[0] for line in lines if line[0] != "#"} == {
        *("bcm_jobstats_simulated_exporter", "DCGM_FI_DEV_GPU_TEMP"),
    }


def test_a_mapping_file_that_vanishes_fails_the_scrape(tmp_path: Path) -> None:
    (tmp_path / "0").symlink_to(tmp_path / "gone")
    answer = response(b"GET /metrics HTTP/1.1\r\n\r\n", "dcgm_exporter", {"hpc-job-mapping-dir": str(tmp_path)})
    assert answer.startswith(b"HTTP/1.1 500 ")


def test_uuids_differ_between_nodes_and_gpus() -> None:
    uuids = {gpu_uuid(host, index) for host in ("node001", "node002", "dgx-01") for index in range(8)}
    assert len(uuids) == 24
    assert all(re.fullmatch(r"GPU-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", u) for u in uuids)
