"""Brings a lab up, step by step, and takes it down without a trace."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bcm_jobstats.simulator.cluster import RELEASES, Simulator, SimulatorError
from bcm_jobstats.simulator.lab import bases, ground, monitoring
from bcm_jobstats.simulator.lab.pod import Pod, PodError
from bcm_jobstats.simulator.lab.sweep import sweep
from bcm_jobstats.simulator.layout import HEAD

PATIENCE = 120.0
"""Seconds until Slurm has all nodes and Prometheus all targets; it takes about 8."""
LOOK = 0.2
_DONE = "cmd/lab-is-up"
"""Holds the number of the daemon whose lab came up: an `up` that was killed has not written it."""
DEFAULT = Path("/var/lib/bcm-simulator/lab")


@dataclass(frozen=True)
class Wanted:
    """What a new lab is made of."""

    nodes: int = 4
    logins: int = 1
    release: str = RELEASES[0]
    profile: str = "bcm10"
    bare: bool = False
    """Without the product: a cluster to start from."""


def is_up(pod: Pod) -> bool:
    """Whether `up` has done its work on the lab that runs."""
    pid = pod.simulator.pid
    try:
        return pid is not None and (pod.directory / _DONE).read_text(encoding="ascii") == str(pid)
    except OSError:
        return False


def up(pod: Pod, wanted: Wanted, tell: Callable[[str], None]) -> None:
    """Make the lab run; one that was there goes on from its disks. PodError or BaseError when it does not come up."""
    missing = bases.missing_programs()
    if missing:
        raise PodError(f"not installed: {', '.join(missing)}. Install the packages with apt-get.")
    bases.build(wanted.release, tell)
    pod.simulator.stop() if ground.kept(pod.directory) else sweep(pod.directory)
    tell(f"booting head node, {wanted.nodes} DGX nodes, {wanted.logins} login node(s) ({wanted.release})")
    try:
        Simulator.start(
            pod.directory, profile=wanted.profile, nodes=wanted.nodes, logins=wanted.logins,
            node_kind="container", release=wanted.release,
        )  # fmt: skip
    except SimulatorError as error:
        raise PodError(str(error)) from error
    if not wanted.bare:
        monitoring.install_product(pod)
    pod.simulator.control({"op": "wait_idle"})
    if not wanted.bare:
        tell("bcm-jobstats on the head node: init, apply; Prometheus")
        monitoring.write_site(pod)
        monitoring.start_prometheus(pod)
        pod.run(HEAD, "bcm-jobstats", "apply", "--yes")
    _await(pod, wanted, tell)
    (pod.directory / _DONE).write_text(str(pod.simulator.pid), encoding="ascii")


def _await(pod: Pod, wanted: Wanted, tell: Callable[[str], None]) -> None:
    """Until Slurm has all nodes, and Prometheus an answer of every target."""
    began, told = time.monotonic(), ""
    while True:
        idle = len(pod.idle())
        answering, known = (0, 0) if wanted.bare else pod.targets()
        text = f"Slurm: {idle} of {wanted.nodes} nodes idle"
        if not wanted.bare:
            text += f"; Prometheus: {answering} of {known} targets up"
        if text != told:
            told = text
            tell(text)
        scraped = wanted.bare or (0 < known == answering and monitoring.complete(pod))
        if scraped and idle == wanted.nodes:
            return
        if time.monotonic() - began > PATIENCE:
            raise PodError(f"the lab did not come up within {PATIENCE:.0f} s: {text}. See {pod.directory}/cmd")
        time.sleep(LOOK)


def down(pod: Pod) -> None:
    """End it and remove all it has on this machine; whatever is left of one that was killed goes as well."""
    try:
        if ground.kept(pod.directory):
            pod.simulator.stop()
    finally:
        sweep(pod.directory)
    ground.clear(pod.directory)
    parent = pod.directory.parent
    if parent == DEFAULT.parent and parent.is_dir() and not any(parent.iterdir()):
        parent.rmdir()  # `up` made it
