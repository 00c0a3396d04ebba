"""Brings a lab up, step by step, and takes it down without a trace."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bcm_jobstats.simulator.cluster import RELEASES, Simulator, SimulatorError
from bcm_jobstats.simulator.lab import bases, controlgroups, ground, limits, monitoring
from bcm_jobstats.simulator.lab.pod import Pod, PodError
from bcm_jobstats.simulator.lab.sweep import sweep
from bcm_jobstats.simulator.layout import HEAD

PATIENCE = 120.0
"""Seconds until Slurm has all nodes and Prometheus all targets; it takes about 8."""
LOOK = 0.2
DEFAULT = Path("/var/lib/bcm-simulator/lab")
_DONE = "cmd/lab-is-up"
"""Holds the number of the daemon whose lab came up: an `up` that was killed has not written it."""


@dataclass(frozen=True)
class Wanted:
    """What a new lab is made of."""

    nodes: int = 4
    logins: int = 1
    release: str = RELEASES[0]
    profile: str = "bcm10"
    bare: bool = False
    """Without the product: a cluster to start from."""


def wanted(pod: Pod, given: Mapping[str, Any]) -> tuple[Wanted, list[str]]:
    """What `up` makes, by the options given; and those that do not count, as a lab keeps what it was made of."""
    kept = ground.kept(pod.directory) or {}
    asked = replace(Wanted(), **given)
    made = replace(asked, **{name: kept[name] for name in asdict(asked) if name in kept})
    return made, [f"{name}: {getattr(made, name)}" for name in given if getattr(made, name) != given[name]]


def is_up(pod: Pod) -> bool:
    """Whether `up` has done its work on the lab that runs."""
    pid = pod.simulator.pid
    try:
        return pid is not None and (pod.directory / _DONE).read_text(encoding="ascii") == str(pid)
    except OSError:
        return False


def up(pod: Pod, lab: Wanted, tell: Callable[[str], None]) -> None:
    """Make the lab run; one that was there goes on from its disks. PodError or BaseError when it does not come up."""
    missing = bases.missing_programs()
    if missing:
        raise PodError(f"not installed: {', '.join(missing)}. Install the packages with apt-get.")
    bases.build(lab.release, tell)
    limits.lift(tell)
    if not controlgroups.legacy():
        tell("this machine has cgroup v2 alone: the lab was never tried on such a one")
    tell(f"booting head node, {lab.nodes} DGX nodes, {lab.logins} login node(s) ({lab.release})")
    try:
        Simulator.start(
            pod.directory, profile=lab.profile, nodes=lab.nodes, logins=lab.logins,
            node_kind="container", release=lab.release,
        )  # fmt: skip
    except SimulatorError as error:
        raise PodError(str(error)) from error
    if not lab.bare:
        monitoring.install_product(pod)
    pod.simulator.control({"op": "wait_idle"})
    _look(pod)
    if not lab.bare:
        tell("bcm-jobstats on the head node: init, apply; Prometheus")
        monitoring.write_site(pod)
        monitoring.start_prometheus(pod)
        pod.run(HEAD, "bcm-jobstats", "apply", "--yes")
    _await(pod, tell, scraped=not lab.bare)
    (pod.directory / _DONE).write_text(str(pod.simulator.pid), encoding="ascii")


def _look(pod: Pod) -> None:
    """PodError when a node did not boot, with what it said last."""
    lost = sorted(pod.simulator.status()["down"])
    if lost:
        console = (pod.directory / f"cmd/{lost[0]}.console").read_text(encoding="utf-8", errors="replace")
        raise PodError("\n".join([f"did not boot: {', '.join(lost)}. {lost[0]} said:", *console.splitlines()[-5:]]))


def _await(pod: Pod, tell: Callable[[str], None], *, scraped: bool) -> None:
    """Until Slurm has all nodes, and Prometheus an answer of every target if it is there."""
    began, told = time.monotonic(), ""
    workers = {node for node in pod.nodes() if node.startswith("dgx-")}
    while True:
        missing = sorted(workers.difference(pod.ready()))
        targets = pod.targets() if scraped else {}
        silent = sorted(name for name, answers in targets.items() if not answers)
        text = f"Slurm: {len(workers) - len(missing)} of {len(workers)} nodes ready"
        if scraped:
            text += f"; Prometheus: {len(targets) - len(silent)} of {len(targets)} targets up"
        if text != told:
            told = text
            tell(text)
        if not missing and (not scraped or (targets and not silent and monitoring.complete(pod))):
            return
        if time.monotonic() - began > PATIENCE:
            lost = ", ".join([*missing, *silent]) or "what bcm-jobstats status shows"
            raise PodError(f"the lab did not come up within {PATIENCE:.0f} s. {text}; not: {lost}")
        time.sleep(LOOK)


def end(pod: Pod) -> None:
    """End what runs or is left of a lab; its disks stay. PodError when the directory holds something else."""
    ground.check(pod.directory)
    try:
        if pod.running:
            pod.simulator.stop()
    finally:
        sweep(pod.directory)
    ground.mend(pod.directory)


def down(pod: Pod) -> None:
    """End it and remove all it has on this machine; whatever is left of one that was killed goes as well."""
    end(pod)
    ground.clear(pod.directory)
    parent = pod.directory.parent
    if parent == DEFAULT.parent and parent.is_dir() and not any(parent.iterdir()):
        parent.rmdir()  # `up` made it
