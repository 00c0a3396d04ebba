"""The rows of the performance table that need root: how long a lab takes to come up, and what its nodes take."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from bcm_jobstats.simulator.cluster import RELEASES
from bcm_jobstats.simulator.lab import bases
from bcm_jobstats.simulator.lab.pod import Pod
from bcm_jobstats.simulator.lab.up import Wanted, down, up

ROUNDS = 3
MIB = 2**20
Row = tuple[str, str, str, str]


def rows() -> list[Row]:
    """Both releases with 4 nodes, one with 16; the base trees are made before, if they are missing."""
    found, medians = [], []
    for release in RELEASES:
        bases.build(release, print)
        measured = [_up(Wanted(release=release)) for _ in range(ROUNDS)]
        seconds, memory, ended = zip(*measured)
        medians.append(statistics.median(seconds))
        spread = f"{medians[-1]:.1f} s median, {max(seconds):.1f} s most (n={ROUNDS})"
        found.append((f"lab up, 4 nodes, {release}: Slurm ready, all targets up", spread, "<= 15 s", "-"))
        found.append((f"memory of a DGX node of the lab, {release}", f"{max(memory):.0f} MiB most", "<= 100 MiB", "-"))
        found.append((f"lab down, {release}", f"{max(ended):.1f} s most", "-", "-"))
    many, memory_of_many, _ = _up(Wanted(nodes=16))
    note = f"{many / medians[0]:.1f} x that of 4 nodes"
    return [*found, (f"lab up, 16 nodes, {RELEASES[0]}", f"{many:.1f} s, {memory_of_many:.0f} MiB a node", "-", note)]


def _up(wanted: Wanted) -> tuple[float, float, float]:
    """Seconds until it is up, MiB of the DGX node that takes most, seconds until it is down."""
    with tempfile.TemporaryDirectory(prefix="bcm-jobstats-bench.") as directory:
        pod = Pod(Path(directory).resolve() / "lab")
        began = time.monotonic()
        try:
            up(pod, wanted, print)
            seconds = time.monotonic() - began
            memory = max(pod.memory(node) or 0 for node in pod.nodes() if node.startswith("dgx-"))
        finally:
            began = time.monotonic()
            down(pod)
        return seconds, memory / MIB, time.monotonic() - began
