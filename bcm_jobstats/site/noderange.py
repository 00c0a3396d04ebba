"""Node ranges as BCM and ClusterShell write them: `dgx-[01-04,07]`, `dgx-01..dgx-04`, lists with commas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

LIMIT = 100_000
"""The most names one text may stand for: a slip such as [1-9999999999] must not eat the memory of the head node."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_DOTTED = re.compile(r"(?P<prefix>.*?)(?P<first>\d+)(?P<tail>\D*?)\.\.(?P=prefix)(?P<last>\d+)(?P=tail)")
_ITEM = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


class RangeError(ValueError):
    """A text that is no node range."""


def expand(text: str) -> list[str]:
    """All names of `text` in the order given, each once; RangeError when it is no range or has too many names."""
    names: dict[str, None] = {}
    for part in _split(text):
        for name in _expand_part(part, text):
            if not _NAME.fullmatch(name):
                raise RangeError(f"{name!r} is not a host name (letters, digits and '-', at most 63)")
            names[name] = None
            if len(names) > LIMIT:
                raise RangeError(f"{text!r} stands for more than {LIMIT:,} names")
    return list(names)


def _split(text: str) -> list[str]:
    """Cut at the commas outside brackets."""
    parts, depth, current = [], 0, ""
    for letter in text:
        depth += {"[": 1, "]": -1}.get(letter, 0)
        if depth not in (0, 1):
            raise RangeError(f"{text!r} has a bracket too many")
        if letter == "," and not depth:
            parts.append(current)
            current = ""
        else:
            current += letter
    if depth:
        raise RangeError(f"{text!r} has a '[' without ']'")
    parts = [part.strip() for part in [*parts, current]]
    if not all(parts):
        raise RangeError(f"{text!r} has an empty entry" if text.strip() else "an empty text names no node")
    return parts


def _expand_part(part: str, text: str) -> Iterator[str]:
    dotted = _DOTTED.fullmatch(part)
    if dotted:
        for number in _numbers(dotted["first"], dotted["last"], text):
            yield dotted["prefix"] + number + dotted["tail"]
        return
    if ".." in part:
        raise RangeError(f"{part!r}: both ends of '..' need the same name and a number, as in dgx-01..dgx-04")
    head, bracket, rest = part.partition("[")
    if not bracket:
        yield head
        return
    inside, _, tail = rest.partition("]")
    for item in inside.split(","):
        match = _ITEM.fullmatch(item.strip())
        if not match:
            raise RangeError(f"{part!r}: {item!r} is not a number or a range of numbers")
        for number in _numbers(match[1], match[2] or match[1], text):
            for end in _expand_part(tail, text) if tail else ("",):
                yield head + number + end


def _numbers(first: str, last: str, text: str) -> Iterator[str]:
    """The numbers from first to last with first's zero padding."""
    low, high = int(first), int(last)
    if low > high:
        raise RangeError(f"{text!r}: {first} comes after {last}")
    if high - low >= LIMIT:
        raise RangeError(f"{text!r} stands for more than {LIMIT:,} names")
    padded = first.startswith("0") and len(first) > 1
    if padded and len(last) != len(first):
        raise RangeError(f"{text!r}: {first} and {last} differ in width")
    return (f"{number:0{len(first)}d}" if padded else str(number) for number in range(low, high + 1))


def fold(names: Iterable[str]) -> str:
    """Names as ranges: `dgx-[01-04,07],login`; sorted, so that equal sets give equal texts."""
    groups: dict[tuple[str, int], list[int]] = {}
    plain: list[str] = []
    for name in sorted(set(names)):
        match = re.fullmatch(r"(.*?)(\d{1,18})", name)
        if match is None:
            plain.append(name)
            continue
        digits = match[2]
        # Numbers without padding share a group whatever their width: [8-12]; padded ones only with their own width.
        width = len(digits) if digits.startswith("0") and len(digits) > 1 else 0
        groups.setdefault((match[1], width), []).append(int(digits))
    _take_in_wide(groups)
    parts = plain + [_folded(prefix, width, numbers) for (prefix, width), numbers in groups.items()]
    return ",".join(sorted(parts))


def _take_in_wide(groups: dict[tuple[str, int], list[int]]) -> None:
    """Move numbers such as 10 into the group of 01..09: they fit its width and look unpadded only by their value."""
    for prefix, width in sorted(groups):
        loose = groups.get((prefix, 0), [])
        if width and loose:
            fitting = [number for number in loose if len(str(number)) == width]
            groups[prefix, width] += fitting
            groups[prefix, 0] = [number for number in loose if number not in set(fitting)]
    for key in [key for key, numbers in groups.items() if not numbers]:
        del groups[key]


def _folded(prefix: str, width: int, numbers: list[int]) -> str:
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    texts = [f"{low:0{width}d}" if low == high else f"{low:0{width}d}-{high:0{width}d}" for low, high in runs]
    single = len(texts) == 1 and runs[0][0] == runs[0][1]
    return prefix + texts[0] if single else f"{prefix}[{','.join(texts)}]"
