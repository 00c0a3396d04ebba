"""The cases that are measured: which scripts run for which job, on a node in which state."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from bcm_jobstats.site.schema import JobMap
from tests.bench_reference import nodes
from tests.bench_reference.nodes import EPILOGS, PROLOGS, Node
from tests.bench_reference.processes import Took, counted, took

JOB, OTHER, OTHERS = 1234567, 1234566, 2234560
"""The job that is measured, one that has the same GPUs before and after it, the first of those the sweeper sees."""
PAIRS = {"prolog-jobstats": "upstream-prolog", "prolog-dcgm": "seed-prolog",
         "epilog-jobstats": "upstream-epilog", "epilog-dcgm": "seed-epilog"}  # fmt: skip
"""Our hooks, and the reference loop that serves the same exporter."""
OURS, DCGM = (*PROLOGS, *EPILOGS), ("prolog-dcgm", "epilog-dcgm")
REFERENCE = ", reference"
DEFAULT = JobMap()


@dataclass(frozen=True)
class Case:
    """Scripts of a node, run one after the other for one job; what each run took, and the processes it started."""

    what: str
    node: Node
    environment: dict[str, str]
    scripts: tuple[str, ...]
    before: tuple[str, ...] = ()
    took: dict[str, list[Took]] = field(default_factory=dict)
    started: dict[str, Optional[int]] = field(default_factory=dict)

    def warm_up(self) -> None:
        """Each script once to make what stays, once to see that it does what is measured, once to be counted."""
        for script in self.scripts:
            self._run(script)
        for script in self.scripts:
            self._run(script)
            if "prolog" in script and "SLURM_JOB_GPUS" in self.environment:
                assert self.node.mentions(JOB), f"{self.what}: {script} does not map the job"
        assert not self.node.mentions(JOB), f"{self.what}: the job is still mapped"
        for script in self.scripts:
            self.started[script] = counted(self.node.scripts[script], self.environment)

    def round(self) -> None:
        """Each script once, after those that are not measured."""
        for script in self.before:
            self._run(script)
        for script in self.scripts:
            self.took.setdefault(script, []).append(self._run(script))

    def added_up(self, scripts: Sequence[str]) -> tuple[list[Took], Optional[int]]:
        """Times of each round, and processes, of several scripts of the job."""
        times = [Took(*map(sum, zip(*runs))) for runs in zip(*(self.took[script] for script in scripts))]
        started = [self.started[script] for script in scripts]
        return times, None if None in started else sum(filter(None, started))

    def _run(self, script: str) -> Took:
        return took(self.node.scripts[script], self.environment)


@contextmanager
def made() -> Iterator[dict[str, Case]]:
    """All cases by what they are. What stands for /run lies on a tmpfs, as /run does; the scripts on a disk."""
    prefix = "bcm-jobstats-bench."
    with (
        tempfile.TemporaryDirectory(prefix=prefix) as disk,
        tempfile.TemporaryDirectory(prefix=prefix, dir="/dev/shm") as run,
    ):
        cases = [*_ours(Path(disk), Path(run)), *_references(Path(run)), *_singles(Path(disk), Path(run))]
        yield {case.what: case for case in cases}


def _ours(disk: Path, run: Path) -> Iterator[Case]:
    number = 0

    def case(what: str, gpus: int, job_map: JobMap = DEFAULT, *, shared: bool = False, by_uuid: bool = False) -> Case:
        nonlocal number
        number += 1
        node = nodes.ours(disk / str(number), run / str(number), job_map)
        if shared:
            _start(node, OTHER, range(gpus))
        environment = nodes.slurm(node, JOB, range(gpus), by_uuid=by_uuid)
        # The settings of job_map are about dcgm-exporter alone.
        scripts = OURS if job_map == DEFAULT else DCGM
        # The log of a GPU that is never free is kept short by the sweeper.
        return Case(what, node, environment, scripts, ("gpu-sweep",) if shared else ())

    yield case("1 GPU", 1)
    yield case("8 GPUs", 8)
    yield case("no GPU", 0)
    yield case("8 GPUs by UUID", 8, by_uuid=True)
    yield case("1 GPU of another job too", 1, shared=True)
    yield case("8 GPUs of another job too", 8, shared=True)
    yield case("8 GPUs, mode info", 8, JobMap(mode="info"))
    yield case("8 GPUs, mode both", 8, JobMap(mode="both"))
    yield case("8 GPUs, release unlink", 8, JobMap(release="unlink"))


def _references(run: Path) -> Iterator[Case]:
    for what, gpus in (("1 GPU", 1), ("8 GPUs", 8), ("no GPU", 0)):
        node = nodes.reference(run / f"reference-{gpus}")
        yield Case(what + REFERENCE, node, nodes.slurm(node, JOB, range(gpus)), tuple(PAIRS.values()))


def _singles(disk: Path, run: Path) -> Iterator[Case]:
    """An empty script, the stand-in of nvidia-smi, and the sweeper on a node whose 8 GPUs have a running job each."""
    bare = Node(run)
    bare.scripts = {"bash": disk / "bare", "nvidia-smi": disk / "nvidia-smi"}
    bare.scripts["bash"].write_text("#!/bin/bash -p\nexit 0\n")
    bare.scripts["nvidia-smi"].write_text((nodes.HERE / "nvidia-smi").read_text())
    for script in bare.scripts.values():
        script.chmod(0o755)
    yield Case("bare", bare, nodes.slurm(bare, JOB, []), ("bash", "nvidia-smi"))
    full = nodes.ours(disk / "full", run / "full", DEFAULT)
    for gpu in range(8):
        _start(full, OTHERS + gpu, [gpu])
    yield Case("sweep", full, {}, ("gpu-sweep",))


def _start(node: Node, job: int, gpus: Sequence[int]) -> None:
    """Lets a job run on the node for good."""
    nodes.runs(node, job)
    for script in PROLOGS:
        took(node.scripts[script], nodes.slurm(node, job, gpus))
