"""Which job held which GPU from when to when: what the recorder's scripts wrote right before and right after our hooks.

A line is ``<time> <prolog|epilog> <before|after> <job> <node> <GPUs>``, with Slurm's own SLURM_JOB_GPUS (lab.md §1).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Hold:
    """One run of a job on one node, and its GPUs there. All times are seconds since the epoch.

    Between `begins` and `shown` the prologs run, between `ends` and `gone` the epilogs: there the maps may say either.
    """

    job: str
    node: str
    gpus: frozenset[str]
    begins: float
    shown: float = math.inf
    ends: float = math.inf
    gone: float = math.inf


@dataclass(frozen=True)
class Outage:
    """A node is off, or its exporters are not up yet, from when to when."""

    node: str
    begins: float
    ends: float


def holds(lines: Iterable[str], outages: Iterable[Outage] = ()) -> list[Hold]:
    """All runs that a record tells of; a run that an outage ends has no epilog of its own, or a late one."""
    done: list[Hold] = []
    running: dict[tuple[str, str], Hold] = {}
    for words in sorted((line.split() for line in lines), key=lambda words: float(words[0])):
        when, kind, side, job, node = float(words[0]), *words[1:5]
        key, gpus = (job, node), frozenset(words[5].split(",")) if len(words) > 5 else frozenset[str]()
        hold = running.get(key)
        if (kind, side) == ("prolog", "before"):
            if hold:
                done.append(replace(hold, ends=min(hold.ends, when), gone=min(hold.gone, when)))
            running[key] = Hold(job, node, gpus, when)
        elif hold and kind == "prolog":
            running[key] = replace(hold, shown=when)
        elif hold and side == "before":
            running[key] = replace(hold, ends=min(hold.ends, when))
        elif hold:
            done.append(replace(running.pop(key), gone=when))
    return [cut(hold, outages) for hold in (*done, *running.values())]


def cut(hold: Hold, outages: Iterable[Outage]) -> Hold:
    """The run, ended by the first outage of its node that it meets."""
    for outage in sorted(outages, key=lambda outage: outage.begins):
        if outage.node == hold.node and hold.begins <= outage.begins < hold.gone:
            return replace(hold, ends=min(hold.ends, outage.begins), gone=min(hold.gone, outage.ends))
    return hold


def most_at_once(found: Iterable[Hold]) -> int:
    """How many jobs at most held one and the same GPU at a time."""
    changes: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for hold in found:
        for gpu in hold.gpus:
            changes.setdefault((hold.node, gpu), []).extend([(hold.shown, 1), (hold.ends, -1)])
    return max((_most(of_gpu) for of_gpu in changes.values()), default=0)


def _most(changes: list[tuple[float, int]]) -> int:
    now = most = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


@dataclass(frozen=True)
class Told:
    """What slurmctld says of a job that runs on a node: the number of its restarts, and its GPUs there."""

    job: str
    restarts: int
    node: str
    gpus: frozenset[str]


def told(text: str) -> set[Told]:
    """The jobs with GPUs that run, by ``scontrol -d -o show job``: a line each, with ``GRES=…(IDX:0-2)``."""
    found: set[Told] = set()
    for line in text.splitlines():
        node = ""
        words = [word.partition("=")[::2] for word in line.split(" ")]
        restarts = int(dict(words).get("Restarts", "0"))
        for name, value in words:
            if name == "Nodes":
                node = value
            indexes = value.partition("(IDX:")[2].rstrip(")")
            if node and name == "GRES" and indexes:
                gpus = frozenset(numbers(indexes))
                found.update(Told(words[0][1], restarts, one, gpus) for one in expanded(node))
    return found


def numbers(text: str) -> list[str]:
    """The numbers of a list such as ``0,2-4``."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += [str(number) for number in range(int(first), int(last or first) + 1)]
    return found


def expanded(text: str) -> list[str]:
    """The names of a list of nodes such as ``dgx-[01-02]`` or ``dgx-01``."""
    head, bracket, rest = text.partition("[")
    if not bracket:
        return [text]
    width = len(rest.partition("]")[0].replace(",", "-").split("-")[0])
    return [f"{head}{number:>0{width}}" for number in numbers(rest.partition("]")[0])]
