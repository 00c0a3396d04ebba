"""BCM's exclude lists read as rsync reads them: what of a node a grab takes, and what a sync of a node leaves alone.

A list has one rule a line in rsync's filter syntax (bcm-facts §6): `- /home/*`, or `+ ` to include; `#` and `;` begin
comments. A line that begins with `no-new-files:` is of the second sublist: what matches it is not made anew either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Optional

NO_NEW_FILES = "no-new-files:"
NOTHING = "(?!)"
"""What matches no path. So do a set that does not end, and what nobody writes: a slash in a set or behind a backslash.
A rule that is not understood excludes nothing, so that what it is about is told."""
_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": " \\t",
    "digit": "0-9",
    "lower": "a-z",
    "punct": re.escape("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
    "space": "\\s",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


@dataclass(frozen=True)
class Rule:
    """One line: whether it excludes, and its pattern with the marks at its ends taken apart."""

    excludes: bool
    pattern: str
    directories: bool
    """It ends with a slash: only directories match."""
    anchored: bool
    """It begins with a slash, or with `**`: it is about the path from the root on."""

    def matches(self, path: str, *, is_dir: bool) -> bool:
        """Whether the rule is about `path`, an absolute one."""
        if self.directories and not is_dir:
            return False
        # `dir/***` is about the directory itself too, and so says rsync of every pattern with *** at its end.
        names = (path, f"{path}/") if is_dir and self.pattern.endswith("***") else (path,)
        return any(_compiled(self.pattern, self.anchored).fullmatch(name) for name in names)


def captured(path: str, text: str, *, is_dir: bool = False) -> bool:
    """Whether a grab with the exclude list `text` takes the absolute `path`: neither it nor a directory above it is
    excluded. What the second sublist names is never taken."""
    rules = parse(text)
    above = [str(parent) for parent in PurePosixPath(path).parents][-2::-1]
    return all(_taken(rules, parent, is_dir=True) for parent in above) and _taken(rules, path, is_dir=is_dir)


@lru_cache(maxsize=32)
def parse(text: str) -> tuple[Rule, ...]:
    """The rules of a list in order, those of the second sublist among them; the first that matches decides."""
    rules: list[Rule] = []
    for line in text.split("\n"):
        plain = line.strip()
        if plain.startswith(NO_NEW_FILES):
            plain = plain[len(NO_NEW_FILES) :].strip()
        if plain == "!":
            rules.clear()
        elif plain and plain[0] not in "#;":
            rules.append(_rule(plain))
    return tuple(rules)


def _rule(line: str) -> Rule:
    signed = line.startswith(("- ", "+ "))
    pattern = line[2:] if signed else line
    directories = len(pattern) > 1 and pattern.endswith("/")
    pattern = pattern[:-1] if directories else pattern
    return Rule(not (signed and line[0] == "+"), pattern, directories, pattern.startswith(("/", "**")))


def _taken(rules: tuple[Rule, ...], path: str, *, is_dir: bool) -> bool:
    first = next((rule for rule in rules if rule.matches(path, is_dir=is_dir)), None)
    return first is None or not first.excludes


@lru_cache(maxsize=1024)
def _compiled(pattern: str, anchored: bool) -> re.Pattern[str]:
    """The pattern as an expression for absolute paths. `*` and `?` and sets stay within a name, `**` does not."""
    wild = any(mark in pattern for mark in "*?[")
    body = "".join(_translated(pattern)) if wild else re.escape(pattern)
    return re.compile(body if anchored else f"(?:.*/)?{body}" if body[:1] == "/" else f".*/{body}", re.DOTALL)


def _translated(pattern: str) -> Iterator[str]:
    at = 0
    while at < len(pattern):
        mark = pattern[at]
        stars = len(pattern[at:]) - len(pattern[at:].lstrip("*"))
        if stars:
            yield ".*" if stars > 1 else "[^/]*"
            at += stars
            continue
        if mark == "?":
            yield "[^/]"
        elif mark == "[":
            found = _set(pattern, at + 1)
            if found is None:
                yield NOTHING
                return
            body, at = found
            yield body
            continue
        elif mark == "\\" and at + 1 < len(pattern):
            at += 1
            yield NOTHING if pattern[at] == "/" else re.escape(pattern[at])
        else:
            yield re.escape(mark)
        at += 1


def _set(pattern: str, at: int) -> Optional[tuple[str, int]]:
    """The set that begins at `at`, and where the pattern goes on behind it; None when it has no end, or a slash."""
    negated = pattern[at : at + 1] in {"!", "^"}
    at += negated
    inner, first = "", True
    while at < len(pattern):
        if pattern[at] == "]" and not first:
            return f"(?!/)[{'^' if negated else ''}{inner}]", at + 1
        first = False
        named = re.match(r"\[:([a-z]+):\]", pattern[at:])
        if pattern[at] == "/" or (named and named.group(1) not in _CLASSES):
            return None
        if named:
            inner += _CLASSES[named.group(1)]
            at += named.end()
            continue
        low, at = _one(pattern, at)
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in {"", "]"}:
            high, at = _one(pattern, at + 1)
            inner += f"{re.escape(low)}-{re.escape(high)}" if low <= high else re.escape(low)
        else:
            inner += re.escape(low)
    return None


def _one(pattern: str, at: int) -> tuple[str, int]:
    """One character of a set, which a backslash may stand before, and where the next begins."""
    at += pattern[at] == "\\" and at + 1 < len(pattern)
    return pattern[at], at + 1
