"""A simulated BCM cluster to start, drive and stop: the door for tests, demos and the `simulator` sub-command."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bcm_jobstats.simulator import replay, settings
from bcm_jobstats.simulator.ha import kept_active
from bcm_jobstats.simulator.headtree import roots
from bcm_jobstats.simulator.layout import HEADS

STOP_SECONDS = 20.0
MARK = "BCM_SIMULATED_DIRECTORY"
"""In the environment of the daemon and of all that it starts: whose they are."""
NODE_KINDS = ("process", "paper", "container")
RELEASES = ("bookworm", "trixie")
"""Debian's, for containers: Slurm 22.05, Prometheus 2.42, systemd 252; Slurm 24.11, Prometheus 2.53, systemd 257."""


class SimulatorError(Exception):
    """The simulator does not start, does not answer, or was asked for something it does not have."""


class Simulator:
    """One simulated cluster in a directory. Its daemon lives until `stop`, whoever started it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def start(
        cls,
        directory: Path | str,
        *,
        profile: str = "bcm10",
        nodes: int = 4,
        logins: int = 1,
        heads: int = 1,
        node_kind: str = "process",
        release: str = RELEASES[0],
        switches: Mapping[str, str] | None = None,
    ) -> Simulator:
        """Make a cluster under `directory` and start it; a directory that holds one goes on from its last state.

        `profile` is a version of BCM or the file that `bcm-jobstats probe` wrote on a real head node. SimulatorError
        when it cannot be.
        """
        if node_kind not in NODE_KINDS:
            raise SimulatorError(f"simulator: kinds of node are {NODE_KINDS}")
        if node_kind == "container" and (heads != 1 or os.geteuid() != 0):
            raise SimulatorError("simulator: container nodes need root, and have one head node")
        if heads not in HEADS:
            raise SimulatorError(f"simulator: a cluster has one head node or two, not {heads}")
        # Mounts are known by the kernel's name for their place.
        simulator = cls(Path(directory).resolve() if node_kind == "container" else Path(directory).absolute())
        if simulator.running:
            raise SimulatorError(f"simulator: already running in {simulator.directory}")
        given = {"profile": profile, "nodes": nodes, "logins": logins, "heads": heads, "node_kind": node_kind}
        if node_kind == "container":
            given["release"] = release
        try:
            settings.prepare(simulator.directory, given, switches)
        except replay.TranscriptError as error:
            raise SimulatorError(f"simulator: {error}") from error
        try:
            simulator._spawn()
        except SimulatorError:
            simulator.stop()  # mounts of container nodes outlive the daemon that failed
            raise
        return simulator

    @classmethod
    def attach(cls, directory: Path | str) -> Simulator:
        """The cluster of a directory, which somebody started before."""
        simulator = cls(Path(directory).absolute())
        if not settings.exist(simulator.directory):
            raise SimulatorError(f"simulator: none in {directory}")
        return simulator

    def _spawn(self) -> None:
        """Start the daemon, with this very package on its path wherever the caller stands."""
        parent = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(entry for entry in (parent, os.environ.get("PYTHONPATH", "")) if entry)
        done = subprocess.run(
            # Nothing of what is installed beside Python is needed, and to look for it takes time (-S).
            [sys.executable, "-S", "-m", "bcm_jobstats.simulator.daemon", str(self.directory)],
            env={**os.environ, "PYTHONPATH": path, MARK: str(self.directory)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SimulatorError(f"simulator: did not start\n{done.stderr}")

    @property
    def cmsh(self) -> Path:
        """The cmsh of the first head node."""
        return self.directory / "bin" / "cmsh"

    def heads(self) -> dict[str, Path]:
        """The head nodes and the root of each one's file tree; the first one's is the directory itself."""
        return roots(self.directory, HEADS[settings.read(self.directory).get("heads", 1)])

    @property
    def active(self) -> str:
        """The name of the active head node."""
        return kept_active(self.directory / "cmd" / "ha.json") or next(iter(self.heads()))

    @property
    def https(self) -> str:
        """Where the (first) head node answers JSON and REST over TLS: host:port; OSError when it does not run."""
        return (self.directory / "cmd" / "https").read_text(encoding="ascii")

    @property
    def pid(self) -> int | None:
        """The process of the daemon, None when it does not run."""
        try:
            pid = int((self.directory / "cmd" / "daemon.pid").read_text(encoding="utf-8"))
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if os.fsencode(self.directory) in words else None

    @property
    def running(self) -> bool:
        """Whether the daemon runs."""
        return self.pid is not None

    def stop(self) -> None:
        """End the daemon and with it every process of the nodes. Nothing happens when it does not run.

        What a killed daemon of container nodes has left, mounts among it, goes too.
        """
        self._stop_daemon()
        if settings.exist(self.directory) and settings.read(self.directory).get("node_kind") == "container":
            from bcm_jobstats.simulator.lab.sweep import sweep

            sweep(self.directory)

    def _stop_daemon(self) -> None:
        pid = self.pid
        if pid is None:
            return
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            os.kill(pid, signal.SIGTERM)
            ended, _, _ = select.select([handle], [], [], STOP_SECONDS)
            if not ended:
                os.kill(pid, signal.SIGKILL)
                select.select([handle], [], [], STOP_SECONDS)
        finally:
            os.close(handle)

    def control(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """An order of the admin plane, such as ``{"op": "log"}``; the answer is ``{"result": …}``."""
        try:
            told = json.loads((self.directory / "cmd" / "client.json").read_text(encoding="utf-8"))
            address = str(self.directory / "cmd" / told["socket"])
            with socket.socket(socket.AF_UNIX) as link:
                link.connect(address)
                link.sendall(json.dumps({"control": dict(order)}).encode() + b"\n")
                answer: dict[str, Any] = json.loads(link.makefile("rb").readline())
        except (OSError, ValueError) as error:
            raise SimulatorError(f"simulator: no answer in {self.directory}: {error}") from error
        if "error" in answer:
            raise SimulatorError(answer["error"])
        return answer

    def status(self) -> dict[str, Any]:
        """What it is and how it goes."""
        found = settings.read(self.directory)
        told = {"directory": str(self.directory), "running": self.running, "pid": self.pid, **found}
        return {**told, **self.control({"op": "status"})["result"]} if told["running"] else told

    def state(self) -> dict[str, Any]:
        """The committed objects: the same for the same objects, whatever happened before."""
        told: dict[str, Any] = json.loads((self.directory / "cmd" / "state.json").read_text(encoding="utf-8"))
        return told

    def addresses(self) -> dict[str, str]:
        """The address of every node, the head's included."""
        return {name: str(device["values"]["ip"]) for name, device in self.state()["device"].items()}
