"""Node lists as cmsh reads and prints them (bcm-facts §1.2: ``node001..node004``, ``node00[1-4]``, ``-node002``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Callable

from bcm_jobstats.simulator.messages import bad_value

_BRACKETS = re.compile(r"^(.*?)\[(\d+)(?:-|\.\.)(\d+)(?::(\d+))?\](.*)$")
_NUMBERED = re.compile(r"^(.*?)(\d+)(\D*)$")
RUN = 3
"""How many neighbours make a range: two are printed with a comma, three in dot form (bcm-facts §1.7)."""

Read = Callable[[str], str]


def _read(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


def expand(words: Iterable[str], read: Read = _read) -> list[str]:
    """The names that a node list stands for, each once, in the order given; ``-x`` takes names away again.

    `read` gives the text of a file, whose names ``^/path/file`` stands for.
    """
    names: dict[str, None] = {}
    for item in (item for word in words for item in word.split(",") if item):
        if item.startswith("^"):
            names.update(dict.fromkeys(expand(read(item[1:]).split(), read)))
        elif item.startswith("-"):
            for name in _item(item[1:]):
                names.pop(name, None)
        else:
            names.update(dict.fromkeys(_item(item)))
    return list(names)


def _item(item: str) -> list[str]:
    if ".." in item and "[" not in item:
        return _dots(item)
    found = _BRACKETS.match(item)
    if found is None:
        return [item]
    head, low, high, step, tail = found.groups()
    numbers = _numbers(low, high, int(step or 1), item)
    return [head + number + rest for number in numbers for rest in _item(tail)]


def _dots(item: str) -> list[str]:
    first, _, last = item.partition("..")
    low, high = _NUMBERED.match(first), _NUMBERED.match(last)
    if low is None or high is None or (low[1], low[3]) != (high[1], high[3]):
        raise bad_value("node list", item)
    return [low[1] + number + low[3] for number in _numbers(low[2], high[2], 1, item)]


def _numbers(low: str, high: str, step: int, item: str) -> list[str]:
    if step < 1 or int(high) < int(low):
        raise bad_value("node list", item)
    return [str(number).zfill(len(low)) for number in range(int(low), int(high) + 1, step)]


def natural(name: str) -> tuple[str, int, str]:
    """The order of node names: node2 before node10."""
    found = _NUMBERED.match(name)
    return (found[1], int(found[2]), name) if found else (name, -1, name)


def collapse(names: Iterable[str]) -> list[str]:
    """The names in order, three or more neighbours in dot form."""
    pieces: list[str] = []
    run: list[str] = []
    for name in sorted(set(names), key=natural):
        if run and not _follows(run[-1], name):
            pieces.extend(_told(run))
            run = []
        run.append(name)
    return pieces + _told(run)


def _follows(before: str, name: str) -> bool:
    old, new = _NUMBERED.match(before), _NUMBERED.match(name)
    if old is None or new is None:
        return False
    same = (old[1], old[3], len(old[2])) == (new[1], new[3], len(new[2]))
    return same and int(new[2]) == int(old[2]) + 1


def _told(run: Sequence[str]) -> list[str]:
    return [f"{run[0]}..{run[-1]}"] if len(run) >= RUN else list(run)
