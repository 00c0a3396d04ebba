"""What comes back from cmsh: tables as JSON, single values, validation tables; events taken out."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Optional, Union

from bcm_jobstats.bcm.errors import Unreadable

# "Fri Apr 14 14:03:40 2017 [notice] node001: …": events interleave with output (bcm-facts §1.7).
EVENT = re.compile(r"^\w{3} \w{3} +\d{1,2} \d\d:\d\d:\d\d \d{4} (\[\w+\] )?\S+: ")
VERSION = re.compile(r"^[ \t]*Cluster Manager[ \t]+(\S+)[ \t]*\n", re.MULTILINE)
"""With the end of its line: `10.25.0` may be all that arrived of `10.25.03`."""
VERSION_HEADING = "Version Information"
AGAIN = "Run the command again."
REPORT = "Run the `list` command of that mode in cmsh by hand and report what it prints."
VALIDATION = re.compile(r"^(?:Code +)?Field +Message *\n-[- ]*\n((?:.*\S.*\n?)+)", re.MULTILINE)
SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a character, as JSON may hold it; it cannot be printed or stored."""
Row = dict[str, str]
Item = Union[str, list[Row]]
"""A line of text, or a table."""


def without_events(text: str) -> str:
    """The output without event lines."""
    return "\n".join(line for line in text.split("\n") if not EVENT.match(line))


def version(text: str) -> Optional[str]:
    """The Cluster Manager version that `main versioninfo` printed (bcm-facts §1.7); None: cmsh never got there."""
    _, heading, end = text.rpartition(VERSION_HEADING)
    match = VERSION.search(end) if heading else None
    return match.group(1) if match else None


def items(text: str) -> list[Item]:
    """Lines and tables of an output, in order. Tables are what `list -d {}` prints: JSON that starts a line.

    Keys are property names, whichever way the header was written. Raises Unreadable for broken JSON.
    """
    found: list[Item] = []
    decoder = json.JSONDecoder(object_pairs_hook=_row)
    position = 0
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        line = text[position:end].strip()
        if line in {"[", "[]"}:
            try:
                rows, position = decoder.raw_decode(text, text.index("[", position))
            except (ValueError, RecursionError) as error:
                raise Unreadable("cmsh", f"a table is not complete JSON ({error})", AGAIN) from error
            found.append(_table(rows))
            continue
        if line:
            found.append(line)
        position = end + 1
    return found


def _row(pairs: Sequence[tuple[str, object]]) -> Row:
    """A row, its keys as property names. Cells are texts (bcm-facts §1.4); whatever else is damaged."""
    row: Row = {}
    for header, value in pairs:
        name = _property(header)
        if name in row or not isinstance(value, (str, int, float)):
            raise Unreadable("cmsh", f"a row of a table is damaged at {header!r:.60}", AGAIN)
        row[name] = str(value)
    return row


def _table(rows: Sequence[object]) -> list[Row]:
    """A table, each of whose rows has the same columns."""
    table = [row for row in rows if isinstance(row, dict) and row]
    if len(table) != len(rows) or any(row.keys() != table[0].keys() for row in table):
        raise Unreadable("cmsh", "a table is damaged: its rows have not all the same columns", AGAIN)
    return table


def lines(text: str) -> list[str]:
    """Lines without those that are empty, up to the version: for answers that hold no table."""
    return [str(line) for line in before_version([line.strip() for line in text.split("\n") if line.strip()])]


def tables(text: str) -> list[list[Row]]:
    """Only the tables."""
    return [item for item in items(text) if isinstance(item, list)]


def shaped(text: str, *shapes: Sequence[str]) -> list[list[Row]]:
    """One table for each of `shapes` (its columns), empty when the answer has none: an empty list may print nothing.

    Raises Unreadable for anything else that stands before the version at the end: cmsh refused something there, or
    printed a table without a column that was asked for.
    """
    found: dict[frozenset[str], list[Row]] = {}
    for item in before_version(items(text)):
        if isinstance(item, str):
            raise Unreadable("cmsh", f"did not answer with a table: {item}", "Check the rights of cmsh's certificate.")
        if item and frozenset(item[0]) in found:
            raise Unreadable("cmsh", f"printed the table of {', '.join(item[0])} twice", AGAIN)
        if item:
            found[frozenset(item[0])] = item
    for columns in found.keys() - {frozenset(shape) for shape in shapes}:
        likely = [shape for shape in shapes if columns < set(shape) and frozenset(shape) not in found]
        missing = " or ".join(", ".join(name for name in shape if name not in columns) for shape in likely)
        cause = f"a table has the columns {', '.join(sorted(columns))} and lacks {missing or 'those asked for'}"
        raise Unreadable("cmsh", cause, REPORT)
    return [found.get(frozenset(shape), []) for shape in shapes]


def before_version(found: Sequence[Item]) -> list[Item]:
    """What stands before the version at the end of a reading script."""
    headings = [number for number, item in enumerate(found) if item == VERSION_HEADING]
    return list(found[: headings[-1]] if headings else found)


def cell(row: Row, name: str) -> str:
    """One cell; raises Unreadable when it is missing, was cut (bcm-facts §1.7), or is no text that can be written."""
    value = row.get(name)
    if value is None:
        raise Unreadable("cmsh", f"a table has no column {name!r} (it has: {', '.join(row)})", REPORT)
    if value.endswith("..."):
        raise Unreadable("cmsh", f"the value {value!r} of {name} was cut", REPORT)
    if SURROGATE.search(value):
        raise Unreadable("cmsh", f"the value {value!r} of {name} is no valid text", REPORT)
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
