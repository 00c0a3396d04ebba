"""200 jobs of mixed kinds, always the same ones in the same order, as one shell script of sbatch calls."""

from __future__ import annotations

import random
import shlex
from collections import Counter

from tests.lab.hookjobs.recorder import HOLDERS, SHARED

JOBS = 200
COMMON = ("--mem=100", "--time=1", "--output=/dev/null", "--parsable")
REQUEUES = '[ -n "$SLURM_RESTART_COUNT" ] || { scontrol requeue "$SLURM_JOB_ID"; sleep 60; }; sleep 1'
"""A job that asks for its requeue itself, and ends in its second life."""

Words = tuple[str, ...]
Submission = tuple[str, int, Words]
"""Kind, number of jobs, words of the call."""


def sbatch(kind: str, body: str, *options: str) -> Words:
    """One submission; the job's name is its kind."""
    return ("sbatch", *COMMON, f"--job-name={kind}", *options, f"--wrap={body}")


def _single(chance: random.Random) -> list[Submission]:
    found: list[Submission] = []

    def add(kind: str, gpus: str = "", body: str = "", directory: str = "/tmp") -> None:
        body = body or f"sleep {chance.choice(['0.5', '0.7', '1', '1', '1.5', '3'])}"
        options = [f"--chdir={directory}", *([f"--gres={gpus}"] if gpus else [])]
        found.append((kind, 1, sbatch(kind, body, *options)))

    for number, jobs in ((1, 36), (2, 14), (3, 6), (4, 4), (5, 1), (6, 1), (7, 1), (8, 2)):
        for _ in range(jobs):
            add("exclusive", f"gpu:{number}")
    for number in (1,) * 30 + (2,) * 15 + (3,) * 5:
        add("shared", f"shard:{number}")
    for _ in range(27):
        add("cpu")
    for gpus in ("gpu:1", "gpu:2", "shard:1", "gpu:1", "shard:2") * 2:
        add("requeued", gpus, REQUEUES)
    for gpus in ("gpu:1", "shard:1", "gpu:2", "shard:2", "gpu:1"):
        for holder in HOLDERS:
            add("held", gpus, directory=f"{SHARED}/{holder}")
    return found


def submissions() -> list[Submission]:
    """All of them, mixed; those that wait for something else than GPUs come early, or they made the run longer."""
    chance = random.Random(5)
    found = _single(chance)
    for gpus in ("gpu:1", "shard:1"):
        found.append(("array", 10, sbatch("array", "sleep 1", "--array=0-9", "--chdir=/tmp", f"--gres={gpus}")))
    for _ in range(5):
        groups = ("--gres=gpu:1", "--chdir=/tmp", ":", "--mem=100", "--gres=gpu:2")
        body = f"{SHARED}/het.sh"
        found.append(("het", 2, ("sbatch", *COMMON, "--job-name=het", *groups, "--job-name=het", body)))
    for number in (1, 2, 2, 3, 1, 2, 1, 2):
        options = ("--nodes=2", f"--gpus-per-node={number}", "--chdir=/tmp")
        found.append(("wide", 1, sbatch("wide", "srun sleep 1", *options)))
    chance.shuffle(found)
    return sorted(found, key=lambda one: one[0] not in ("requeued", "held", "het"))


def counts() -> Counter[str]:
    """Jobs by kind."""
    found: Counter[str] = Counter()
    for kind, jobs, _ in submissions():
        found[kind] += jobs
    return found


def script() -> str:
    """The shell script that submits them, without a pause."""
    return "set -e\n" + "".join(shlex.join(words) + "\n" for _, _, words in submissions())
