"""What comes back from cmsh: tables as JSON, single values, validation tables; events taken out."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Optional, Union

from bcm_jobstats.bcm.errors import Unreadable

# "Fri Apr 14 14:03:40 2017 [notice] node001: …": events interleave with output (bcm-facts §1.7).
EVENT = re.compile(r"^\w{3} \w{3} +\d{1,2} \d\d:\d\d:\d\d \d{4} (\[\w+\] )?\S+: ")
VERSION = re.compile(r"^\s*Cluster Manager\s+(\S+)\s*$", re.MULTILINE)
VERSION_HEADING = "Version Information"
REPORT = "Run the `list` command of that mode in cmsh by hand and report what it prints."
VALIDATION = re.compile(r"^(?:Code +)?Field +Message *\n-[- ]*\n((?:.*\S.*\n?)+)", re.MULTILINE)
Row = dict[str, str]
Item = Union[str, list[Row]]
"""A line of text, or a table."""


def without_events(text: str) -> str:
    """The output without event lines."""
    return "".join(line for line in text.splitlines(keepends=True) if not EVENT.match(line))


def version(text: str) -> Optional[str]:
    """The Cluster Manager version that `main versioninfo` printed (bcm-facts §1.7); None: cmsh never got there."""
    match = VERSION.search(text)
    return match.group(1) if match else None


def items(text: str) -> list[Item]:
    """Lines and tables of an output, in order. Tables are what `list -d {}` prints: JSON that starts a line.

    Keys are property names, whichever way the header was written. Raises Unreadable for broken JSON.
    """
    found: list[Item] = []
    decoder = json.JSONDecoder()
    position = 0
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        line = text[position:end].strip()
        if line in {"[", "[]"}:
            try:
                rows, position = decoder.raw_decode(text, text.index("[", position))
            except ValueError as error:
                raise Unreadable("cmsh", f"a table is not complete JSON ({error})", "Run the command again.") from error
            found.append([{_property(header): str(value) for header, value in row.items()} for row in rows])
            continue
        if line:
            found.append(line)
        position = end + 1
    return found


def tables(text: str) -> list[list[Row]]:
    """Only the tables."""
    return [item for item in items(text) if isinstance(item, list)]


def shaped(text: str, *shapes: Sequence[str]) -> list[list[Row]]:
    """One table for each of `shapes` (its columns), empty when the answer has none: an empty list may print nothing.

    Raises Unreadable for anything else that stands before the version at the end: cmsh refused something there, or
    printed a table without a column that was asked for.
    """
    found: dict[frozenset[str], list[Row]] = {}
    for item in _before_version(items(text)):
        if isinstance(item, str):
            raise Unreadable("cmsh", f"did not answer with a table: {item}", "Check the rights of cmsh's certificate.")
        if item:
            found[frozenset(item[0])] = item
    for columns in found.keys() - {frozenset(shape) for shape in shapes}:
        likely = [shape for shape in shapes if columns < set(shape) and frozenset(shape) not in found]
        missing = " or ".join(", ".join(name for name in shape if name not in columns) for shape in likely)
        cause = f"a table has the columns {', '.join(sorted(columns))} and lacks {missing or 'those asked for'}"
        raise Unreadable("cmsh", cause, REPORT)
    return [found.get(frozenset(shape), []) for shape in shapes]


def _before_version(found: Sequence[Item]) -> list[Item]:
    heading = next((number for number, item in enumerate(found) if item == VERSION_HEADING), len(found))
    return list(found[:heading])


def cell(row: Row, name: str) -> str:
    """One cell; raises Unreadable when it is missing or was cut (bcm-facts §1.7)."""
    value = row.get(name)
    if value is None:
        raise Unreadable("cmsh", f"a table has no column {name!r} (it has: {', '.join(row)})", REPORT)
    if value.endswith("..."):
        raise Unreadable("cmsh", f"the value {value!r} of {name} was cut", REPORT)
    return value


def between(lines: Sequence[str], marker: str, count: int) -> list[str]:
    """The values printed between `count` + 1 lines that equal `marker`; empty however `get` prints an empty one.

    `get name; get services; get name; get revision; get name` is read with count=2. Raises Unreadable.
    """
    positions = [number for number, line in enumerate(lines) if line == marker]
    if len(positions) != count + 1:
        raise Unreadable(marker, "cmsh printed something else than its fields: " + " / ".join(lines[:4]), "")
    return [" ".join(lines[a + 1 : b]) for a, b in zip(positions, positions[1:])]


def refusal(text: str) -> Optional[str]:
    """The messages of a validation table, either layout (bcm-facts §1.5), as one line; None when there is none."""
    match = VALIDATION.search(text)
    if not match:
        return None
    return "; ".join(re.sub(r"\s{2,}", " ", line.strip()) for line in match.group(1).splitlines())


def _property(header: str) -> str:
    """`All head nodes`, `allheadnodes` and `name (key)` as property names (bcm-facts §1.4)."""
    return header.replace(" (key)", "").replace(" ", "").lower()
