"""The rows of the performance table about Slurm's prologs and epilogs: what they take, and how many processes."""

from __future__ import annotations

import os
import random
import statistics
import sys
from collections.abc import Iterator, Sequence
from typing import Optional

from tests.bench_reference import cases
from tests.bench_reference.cases import DCGM, OTHERS, OURS, PAIRS, REFERENCE, Case
from tests.bench_reference.nodes import EPILOGS, PROLOGS
from tests.bench_reference.processes import Took

ROUNDS = 50
JUDGED = ("1 GPU", "8 GPUs")
"""The cases that have a target: issue 5, "How it will be judged"."""
COMPARED = (*JUDGED, "no GPU")
TARGET = "<= 6 ms, <= 2 processes"
Row = tuple[str, str, str, str]


def rows(rounds: int = ROUNDS) -> list[Row]:
    """All cases in every round, each round in another order, so that what else the machine does hits all alike."""
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"Prologs and epilogs, {rounds} rounds; {load}: on a busy machine all of them take longer", file=sys.stderr)
    with cases.made() as found:
        for case in found.values():
            case.warm_up()
        order = list(found.values())
        shuffle = random.Random(4).shuffle
        for _ in range(rounds):
            shuffle(order)
            for case in order:
                case.round()
        for case in order:
            _none_failed(case)
        return list(_table(found))


def _none_failed(case: Case) -> None:
    """A hook that gave up early would look fast: they count their failures themselves."""
    for file in case.node.run.glob("bcm-jobstats/runs/*-*"):
        assert file.read_text().split()[1] == "0", f"{case.what}: {file.name} failed"
    if case.what == "sweep":
        kept = {case.node.mentions(OTHERS + gpu) for gpu in range(8)}
        assert kept == {2}, "the sweeper took away what it should leave"


def _table(found: dict[str, Case]) -> Iterator[Row]:
    yield _row("an empty bash script", found["bare"], ["bash"], against="what any hook takes at the least")
    for what in COMPARED:
        peer = found[what + REFERENCE]
        for scripts in (*((script,) for script in OURS), PROLOGS, EPILOGS):
            name = scripts[0] if len(scripts) == 1 else f"both {scripts[0].partition('-')[0]}s of a job"
            target = TARGET if what in JUDGED and len(scripts) == 1 else "-"
            yield _row(f"{name}, {what}", found[what], scripts, target, _against(found[what], scripts, peer))
    for what, case in found.items():
        if case.scripts in (OURS, DCGM) and what not in COMPARED:
            for script in case.scripts:
                yield _row(f"{script}, {what}", case, [script])
    for what in COMPARED:
        for script in PAIRS.values():
            yield _row(f"{script.replace('-', '-style ')}, {what}", found[what + REFERENCE], [script])
    stand_in = "the real one takes far longer"
    yield _row("nvidia-smi of these: a stand-in", found["bare"], ["nvidia-smi"], against=stand_in)
    yield _row("gpu-sweep, 8 jobs on 8 GPUs", found["sweep"], ["gpu-sweep"], against="every 20 s")


def _row(what: str, case: Case, scripts: Sequence[str], target: str = "-", against: str = "-") -> Row:
    times, started = case.added_up(scripts)
    clock = sorted(one.clock for one in times)
    cpu = statistics.median(one.cpu for one in times)
    most = clock[-1 - len(clock) // 10]
    spread = f"least {clock[0]:.1f}, 9 of 10 within {most:.1f}, n={len(clock)}"
    return (
        what,
        f"{_median(times):.1f} ms median ({spread}), {cpu:.1f} ms CPU, {_processes(started)}",
        target,
        against,
    )


def _against(case: Case, scripts: Sequence[str], peer: Case) -> str:
    ours, _ = case.added_up(scripts)
    theirs, started = peer.added_up([PAIRS[script] for script in scripts])
    style = " + ".join(f"{PAIRS[script].partition('-')[0]}-style" for script in scripts)
    return f"{_median(ours) / _median(theirs):.2f} x {style} ({_median(theirs):.1f} ms, {_processes(started)})"


def _median(times: Sequence[Took]) -> float:
    return statistics.median(one.clock for one in times)


def _processes(started: Optional[int]) -> str:
    if started is None:
        return "processes not counted: no strace"
    return f"{started} process{'' if started == 1 else 'es'}"
