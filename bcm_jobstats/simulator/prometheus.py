"""A Prometheus for a simulated cluster: Debian's where it is installed, else a stand-in that says so."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

READY = 30.0
"""Seconds until Prometheus must answer."""


@dataclass
class PrometheusServer:
    """One running server. `real` is False for the stand-in."""

    url: str
    real: bool
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End it and wait."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def translated(configuration: str, root: Path, addresses: Mapping[str, str]) -> str:
    """`configuration` for this machine: files below `root`; node names, which resolve nowhere, as loopback addresses.

    `instance` stays what it would be on a real cluster: the address as registered.
    """
    rules = ["  relabel_configs:", "  - {source_labels: [__address__], target_label: instance}"]
    rules += [
        f"  - {{source_labels: [__address__], regex: '{name}:(.*)', target_label: __address__, replacement: '{ip}:$1'}}"
        for name, ip in sorted(addresses.items())
    ]
    lines: list[str] = []
    for line in configuration.replace("- /cm/shared/", f"- {root}/cm/shared/").splitlines():
        lines += [line, *rules] if line.startswith("- job_name:") else [line]
    return "\n".join(lines) + "\n"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(configuration: str, directory: Path, port: int, *, stand_in: bool = False) -> PrometheusServer:
    """Run a server on 127.0.0.1:`port` with `configuration`, its data and log in `directory`; returns when it answers.

    Raises RuntimeError when it does not.
    """
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "prometheus.yml"
    file.write_text(configuration, encoding="utf-8")
    program = None if stand_in else shutil.which("prometheus")
    address = f"127.0.0.1:{port}"
    if program:
        command = [program, f"--config.file={file}", f"--storage.tsdb.path={directory / 'data'}"]
        command += [f"--web.listen-address={address}", "--storage.tsdb.retention.time=1d"]
    else:
        command = [sys.executable, str(Path(__file__).with_name("standin_prometheus.py")), str(file), address]
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    server = PrometheusServer(f"http://{address}", bool(program), process)
    try:
        _wait(server, directory / "prometheus.log")
    except BaseException:
        server.stop()
        raise
    return server


def _wait(server: PrometheusServer, log: Path) -> None:
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            urllib.request.urlopen(f"{server.url}/-/ready", timeout=2).close()  # noqa: S310  # our own http address
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"Prometheus did not start: {log.read_text(errors='replace')[-500:]}")
