"""What a sync log says, counted. That BCM's `synclog` holds rsync's itemized lines is an assumption (capability
synclog): a log of another form is shown as it is."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Optional

_ITEM = re.compile(r"([<>ch.])([fdLDS])([+.?a-zA-Z ]{9}) (.+)")
_DELETED = re.compile(r"\*deleting +(.+)")
NEW, CHANGED, DELETED, ATTRIBUTES = "new", "changed", "deleted", "of other mode, owner or time"


@dataclass(frozen=True)
class Item:
    """One line: what happens, and to which path relative to the root."""

    what: str
    path: str


def item(line: str) -> Optional[Item]:
    """What one line says; None when it is not of that form."""
    if match := _DELETED.fullmatch(line.rstrip("\r")):
        return Item(DELETED, match.group(1))
    match = _ITEM.fullmatch(line.rstrip("\r"))
    if match is None:
        return None
    update, _, how, path = match.groups()
    return Item(NEW if "+" in how else ATTRIBUTES if update == "." else CHANGED, path)


def summary(log: str) -> str:
    """One line about a log: `12 new, 3 changed, 1 deleted`, and how many lines are of another form."""
    lines = [line for line in log.splitlines() if line.strip()]
    counts = Counter(told.what if (told := item(line)) else "" for line in lines)
    other = counts.pop("", 0)
    words = [f"{counts[what]} {what}" for what in (NEW, CHANGED, DELETED, ATTRIBUTES) if counts[what]]
    words += [f"{other} lines of another form"] if other else []
    return ", ".join(words) or "nothing differs"
