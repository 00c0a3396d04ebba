"""One lab for the tests of a module: real nodes, to which the product was applied as on any cluster."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.simulator import Simulator
from bcm_jobstats.simulator.lab import bases
from bcm_jobstats.simulator.lab.pod import Pod
from bcm_jobstats.simulator.lab.sweep import sweep
from bcm_jobstats.simulator.layout import HEAD
from tests.harness import Outcome, run, until

EXPORTERS = {"node_exporter": 9100, "cgroup_exporter": 9306, "nvidia_gpu_exporter": 9445}
OURS = (*EXPORTERS, "jobstats-target")
SLURM = ("munge", "slurmd")
NODES = ("dgx-01", "dgx-02")
SITE = "/etc/bcm-jobstats/site.yaml"
TARGETS = "/cm/shared/apps/jobstats/prometheus-targets"


def missing() -> Optional[str]:
    """Why no lab can be had on this machine; None when it can."""
    if os.geteuid() != 0:
        return "a lab needs root"
    programs = bases.missing_programs()
    return f"a lab needs {', '.join(programs)}" if programs else None


class Lab:
    """A lab of two DGX nodes, and how an administrator sees it."""

    def __init__(self, simulator: Simulator, release: str) -> None:
        self.simulator = simulator
        self.release = release
        self.directory = simulator.directory
        self.pod = Pod(simulator.directory)

    def site(self, text: str = "") -> None:
        """Write the site file."""
        file = self.path(SITE)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def path(self, path: str, node: str = "") -> Path:
        """Where a path of the head node, or of another, lies on this machine."""
        return self.directory / (f"nodes/{node}" if node else "") / path.lstrip("/")

    def ok(self, *words: str) -> Outcome:
        """`bcm-jobstats WORDS`, which has to succeed."""
        outcome = run(self.directory, *words)
        assert outcome.status == 0, outcome.err
        return outcome

    def run(self, *words: str) -> Outcome:
        """`bcm-jobstats WORDS`, however it ends."""
        return run(self.directory, *words)

    def run_status(self, *words: str) -> int:
        """The exit status of `bcm-jobstats WORDS`."""
        return self.run(*words).status

    def run_out(self, *words: str) -> str:
        """What `bcm-jobstats WORDS` prints, however it ends."""
        return self.run(*words).out

    def apply(self) -> Outcome:
        """`bcm-jobstats apply`."""
        return self.ok("apply", "--yes", "-q")

    def cmsh(self, line: str) -> str:
        """What cmsh prints."""
        return process.run(self.simulator.cmsh, [line], 60.0).text

    def on(self, node: str, *command: str) -> str:
        """What a command on a node prints; PodError when it fails."""
        return self.pod.run(node, *command).rstrip("\n")

    def tried(self, node: str, *command: str) -> subprocess.CompletedProcess[str]:
        """A command on a node that may fail."""
        return subprocess.run(self.pod.words(node, command), capture_output=True, text=True, check=False)

    def property(self, node: str, unit: str, name: str) -> str:
        """A property of a unit, as systemd on the node tells it."""
        return self.on(node, "systemctl", "show", "--property", name, "--value", f"{unit}.service")

    def active(self, node: str, units: Collection[str] = OURS) -> set[str]:
        """Which of the units the node's systemd calls active."""
        states = self.tried(node, "systemctl", "is-active", *units).stdout.split()
        return {unit for unit, state in zip(units, states) if state == "active"}

    def services(self, node: str) -> dict[str, str]:
        """The services that CMDaemon looks after, and their states."""
        told: dict[str, str] = self.simulator.control({"op": "services", "node": node})["result"]
        return told

    def status(self, node: str) -> str:
        """What `device status` tells of a node."""
        return self.cmsh(f"device status {node}").partition("[")[2].partition("]")[0].strip()

    def target(self, node: str) -> Path:
        """The node's target file."""
        return self.path(f"{TARGETS}/{node}.json")

    def slurm(self, node: str) -> str:
        """The state of a node in Slurm."""
        return self.tried(HEAD, "sinfo", "--noheader", "--nodes", node, "--format=%T").stdout.strip()

    def answers(self, node: str, port: int) -> bool:
        """Whether an exporter answers the head node."""
        url = f"http://{node}:{port}/metrics"
        return self.tried(HEAD, "curl", "--silent", "--fail", "--output", "/dev/null", url).returncode == 0

    def whole(self, node: str) -> bool:
        """Whether a node has all that the role and Slurm give it."""
        wanted = dict.fromkeys((*OURS, *SLURM), "UP")
        return self.services(node) == wanted and self.target(node).exists() and self.slurm(node) == "idle"


@contextmanager
def lab(directory: Path, release: str) -> Iterator[Lab]:
    """A lab for the length of the block, with a site file; nothing is left of it but files."""
    bases.build(release, print)
    try:
        simulator = Simulator.start(directory, node_kind="container", release=release, nodes=len(NODES), logins=0)
        made = Lab(simulator, release)
        made.site()
        until(lambda: all(made.slurm(node) == "idle" for node in NODES), 120.0, "Slurm has all nodes")
        yield made
    finally:
        try:
            Simulator(directory).stop()
        finally:
            sweep(directory)
