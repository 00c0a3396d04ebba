"""Brings a lab up, step by step, and takes it down without a trace."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bcm_jobstats.simulator.cluster import RELEASES, Simulator, SimulatorError
from bcm_jobstats.simulator.lab import bases, monitoring
from bcm_jobstats.simulator.lab.pod import Pod, PodError
from bcm_jobstats.simulator.lab.sweep import sweep
from bcm_jobstats.simulator.layout import HEAD

PATIENCE = 120.0
"""Seconds until Slurm has all nodes and Prometheus all targets; it takes about 8."""
LOOK = 0.2


@dataclass(frozen=True)
class Wanted:
    """What a new lab is made of."""

    nodes: int = 4
    logins: int = 1
    release: str = RELEASES[0]
    profile: str = "bcm10"
    bare: bool = False
    """Without the product: a cluster to start from."""


def up(pod: Pod, wanted: Wanted, tell: Callable[[str], None]) -> None:
    """Make the lab run; one that was there goes on from its disks. PodError or BaseError when it does not come up."""
    bases.build(wanted.release, tell)
    sweep(pod.directory)
    size = f"head node, {wanted.nodes} DGX nodes, {wanted.logins} login node(s)"
    tell(f"booting {size} ({wanted.release})")
    try:
        Simulator.start(
            pod.directory, profile=wanted.profile, nodes=wanted.nodes, logins=wanted.logins,
            node_kind="container", release=wanted.release,
        )  # fmt: skip
    except SimulatorError as error:
        raise PodError(str(error)) from error
    pod.simulator.control({"op": "wait_idle"})
    if not wanted.bare:
        tell("bcm-jobstats on the head node: init, apply; Prometheus")
        monitoring.install_product(pod)
        monitoring.write_site(pod)
        monitoring.start_prometheus(pod)
        pod.run(HEAD, "bcm-jobstats", "apply", "--yes")
    _await(pod, wanted, tell)


def _await(pod: Pod, wanted: Wanted, tell: Callable[[str], None]) -> None:
    """Until Slurm has all nodes, and Prometheus an answer of every target."""
    began, told = time.monotonic(), ""
    while True:
        idle = len(pod.idle())
        answering, known = (0, 0) if wanted.bare else pod.targets()
        text = f"Slurm: {idle} of {_workers(pod)} nodes idle; Prometheus: {answering} of {known} targets up"
        if text != told:
            told = text
            tell(text)
        scraped = wanted.bare or (0 < known == answering and monitoring.complete(pod))
        if scraped and idle == _workers(pod):
            return
        if time.monotonic() - began > PATIENCE:
            raise PodError(f"the lab did not come up within {PATIENCE:.0f} s: {text}. Look around with: lab ssh {HEAD}")
        time.sleep(LOOK)


def _workers(pod: Pod) -> int:
    return sum(node.startswith("dgx-") for node in pod.nodes())


def down(pod: Pod) -> None:
    """End it and remove all it has on this machine; whatever is left of one that was killed goes as well."""
    try:
        pod.simulator.stop()
    finally:
        sweep(pod.directory)
    if pod.directory.is_dir():
        shutil.rmtree(pod.directory)
    _remove_empty(pod.directory.parent)


def _remove_empty(parent: Path) -> None:
    """The directory of labs, which `up` made, when none is left in it."""
    if parent == DEFAULT.parent and parent.is_dir() and not any(parent.iterdir()):
        parent.rmdir()


DEFAULT = Path("/var/lib/bcm-simulator/lab")
