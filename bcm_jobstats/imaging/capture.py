"""What a grab would take from a node and should not: secrets, state, and what is one node's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from bcm_jobstats.imaging.excludes import captured
from bcm_jobstats.imaging.rules import BY_DESIGN, RULES, SECRET, Rule, besides


@dataclass(frozen=True)
class Entry:
    """Something that is there: its absolute path, whether it is a directory, and whether there is a KEY in it."""

    path: str
    is_dir: bool = False
    has_key: bool = False


@dataclass(frozen=True)
class Finding:
    """One thing that should not get into an image; `line` is the rule for the exclude list that keeps it out."""

    kind: str
    path: str
    what: str
    line: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def judged(found: Iterable[Entry], exclude: str = "") -> list[Finding]:
    """What of `found` a grab with this exclude list would take, each path once, as RULES are ordered; then keys that
    have no name of theirs."""
    found = list(found)
    there = {entry.path: entry for entry in found}
    told: dict[str, Finding] = {}
    for rule in RULES:
        for entry in there.values():
            if not _is_about(rule, entry.path) or not _taken(entry, exclude):
                continue
            parent = str(PurePosixPath(entry.path).parent)
            if rule.beside and f"{parent}/{rule.beside}" not in there:
                continue
            path, whole = (parent, True) if rule.beside or rule.some else (entry.path, entry.is_dir)
            told.setdefault(path, Finding(rule.kind, path, rule.what, f"- {path}/*" if whole else f"- {path}"))
    for entry in found:
        designed = any(fnmatchcase(entry.path, pattern) for pattern in BY_DESIGN)
        if entry.has_key and not designed and _taken(entry, exclude):
            told.setdefault(entry.path, Finding(SECRET, entry.path, "a private key", f"- {entry.path}"))
    return list(told.values())


def wanted(place: str, relative: str) -> bool:
    """Whether some rule looks for a path below `place`, be it only to tell what is beside it."""
    return any(
        rule.place == place
        and relative.count("/") < rule.depth
        and any(fnmatchcase(relative.lower(), pattern) for pattern in (*rule.patterns, *besides(rule)))
        for rule in RULES
    )


def _is_about(rule: Rule, path: str) -> bool:
    if not path.startswith(f"{rule.place}/"):
        return False
    relative = path[len(rule.place) + 1 :].lower()
    named = any(fnmatchcase(relative, pattern) for pattern in rule.patterns)
    return named and relative.count("/") < rule.depth and not any(fnmatchcase(relative, other) for other in rule.but)


def _taken(entry: Entry, exclude: str) -> bool:
    # A list often has what is in a directory, not the directory: an empty one in an image hurts nobody.
    return captured(f"{entry.path}/anything" if entry.is_dir else entry.path, exclude)
