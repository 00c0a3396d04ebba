"""What a sync log says: rsync's itemized lines, its complaints, and what is neither. That BCM's `synclog` holds such
lines is an assumption (capability synclog): a log of another form is shown as it is, and nobody can tell from it what a
grab took."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Optional

_ITEM = re.compile(r"([<>ch.])([fdLDS])([+.?a-zA-Z ]{9}) (.+)")
_DELETED = re.compile(r"\*deleting +(.+)")
_TALK = re.compile(
    r"(sending|receiving) (incremental )?file list.*|sent [\d.,KMGT]+ bytes .*|total size is .*|created directory .*"
    r"|cannot delete non-empty directory: .*|skipping (non-regular file|mount point|directory) .*"
    r"|(rsync: (\[\w+\] )?)?file has vanished: .*|rsync warning: some files vanished .*\(code 24\).*"
)
"""What rsync says though nothing is wrong (rsync(1): files may vanish while it runs)."""
_COMPLAINT = re.compile(
    r"rsync|error|fail|denied|refused|cannot|can't|no space|no such|not (up|found|permitted|allowed)|broken|abort"
    r"|interrupt|time[d ]*out|reset by|unreachable|killed|input/output|is down",
    re.IGNORECASE,
)
NEW, CHANGED, DELETED, ATTRIBUTES = "new", "changed", "deleted", "of other mode, owner or time"


@dataclass(frozen=True)
class Item:
    """One line: what happens, to which path relative to the root, and whether to no more than its time."""

    what: str
    path: str
    only_time: bool = False


def item(line: str) -> Optional[Item]:
    """What one line says; None when it is not of that form."""
    if match := _DELETED.fullmatch(line.rstrip("\r")):
        return Item(DELETED, match.group(1))
    match = _ITEM.fullmatch(line.rstrip("\r"))
    if match is None:
        return None
    update, _, how, path = match.groups()
    only_time = update == "." and set(how.lower()) <= {".", " ", "t"}
    return Item(NEW if "+" in how else ATTRIBUTES if update == "." else CHANGED, path, only_time)


def items(log: str) -> list[Item]:
    """What a log says in lines of that form, in order."""
    return [told for line in log.split("\n") if (told := item(line))]


def foreign(log: str) -> list[str]:
    """The lines that are neither of that form nor what rsync says when nothing is wrong."""
    lines = (line.strip() for line in log.split("\n"))
    return [line for line in lines if line and not item(line) and not _TALK.fullmatch(line)]


def complaints(log: str) -> list[str]:
    """The foreign lines that tell of an error; all of them where nothing else is in the log."""
    return [line for line in foreign(log) if _COMPLAINT.search(line) or not items(log)]


def unheard(log: str, heard: str) -> list[str]:
    """The foreign lines of a log that tell of an error, or the like of which another log, `heard`, does not have; they
    may differ in numbers, such as times."""
    known = _forms(foreign(heard)) - _forms(complaints(heard))
    return [line for line in foreign(log) if _COMPLAINT.search(line) or not _forms([line]) <= known]


def _forms(lines: Collection[str]) -> set[str]:
    return {re.sub(r"\d+", "0", line) for line in lines}


def summary(log: str) -> str:
    """One line about a log: `12 new, 3 changed, 1 deleted`, and how many lines are of another form."""
    lines = [line for line in log.split("\n") if line.strip()]
    counts = Counter(told.what if (told := item(line)) else "" for line in lines)
    other = counts.pop("", 0)
    words = [f"{counts[what]} {what}" for what in (NEW, CHANGED, DELETED, ATTRIBUTES) if counts[what]]
    words += [f"{other} lines of another form"] if other else []
    return ", ".join(words) or "nothing differs"
