"""slurm.conf, gres.conf and cgroup.conf, read as Slurm reads them (slurm.conf(5); seen in Slurm 22.05 to 26.05).

Keys are case-insensitive, `#` begins a comment unless escaped, a backslash at its end continues a line, `Include` at
the very beginning of a line takes in another file, and of a setting that stands twice the last counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.slurm.conflines import Line, logical, physical

_DEEPEST = 8
"""How far includes are followed: a file that includes itself must not keep us."""
_SETTING = re.compile(r'\s*([A-Za-z0-9_.]+)\s*[-*+/]?=\s*(?:"([^"]*)"|(\S+))(?:\s|$)', re.ASCII)
_INCLUDE = re.compile(r"include\s+(\S+)(.*)", re.ASCII | re.IGNORECASE | re.DOTALL)


class CannotRead(JobstatsError):
    """A configuration file of Slurm that is there and cannot be read."""


@dataclass(frozen=True)
class Setting:
    """`Key=Value` at the beginning of a line, with what else stands on the line."""

    key: str
    value: str
    options: Mapping[str, str]
    """The rest of the line, as on those of NodeName: values by key in small letters."""
    file: Path
    line: int
    last: int
    """The last of its lines: a continued setting has several."""
    generated: bool

    @property
    def where(self) -> str:
        """`FILE:LINE`."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Odd:
    """A line that Slurm cannot read: its daemons refuse to start with it."""

    file: Path
    line: int
    cause: str


@dataclass(frozen=True)
class Conf:
    """One file and what it includes, in the order in which Slurm reads."""

    path: Path
    found: bool = False
    lines: tuple[Line, ...] = ()
    """Of the file itself, without includes: together they are the file, byte for byte."""
    settings: tuple[Setting, ...] = ()
    odd: tuple[Odd, ...] = ()

    def of(self, key: str) -> list[Setting]:
        """All settings of a key."""
        return [setting for setting in self.settings if setting.key.lower() == key.lower()]

    def setting(self, key: str) -> Optional[Setting]:
        """The setting of a key that counts: the last."""
        return next(reversed(self.of(key)), None)

    def get(self, key: str) -> Optional[str]:
        """The value of a key that counts; None when it is not set."""
        found = self.setting(key)
        return found.value if found else None


def read(path: Path, root: Path = Path("/")) -> Conf:
    """The file at `path`, empty when there is none. Absolute paths of includes are looked up below `root`."""
    return _read(path, root, {}, ())


def parse(text: str, path: Path, root: Path = Path("/")) -> Conf:
    """A file's text, which was decoded with `surrogateescape` and with its line ends as they are."""
    return _parse(text, path, root, {}, ())


def _read(path: Path, root: Path, names: dict[str, str], within: tuple[Path, ...]) -> Conf:
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return Conf(path)
    except OSError as error:
        raise CannotRead(
            str(path), f"cannot be read: {error.strerror}", "Check what it is, and who may read."
        ) from error
    return _parse(text, path, root, names, within)


def _parse(text: str, path: Path, root: Path, names: dict[str, str], within: tuple[Path, ...]) -> Conf:
    lines = tuple(physical(text))
    settings: list[Setting] = []
    odd: list[Odd] = []
    for first, last, words in logical(lines):
        include = _INCLUDE.match(words)
        if include:
            taken = _included(include[1], root, names, (*within, path))
            settings += taken.settings
            odd += taken.odd if taken.found else [Odd(path, first.number, f"includes {include[1]}, which is not there")]
            rest = include[2]
        else:
            match = _SETTING.match(words)
            rest = words[match.end() :] if match else words
            if match:
                value = _value(match)
                names[match[1].lower()] = value
                options = {option[1].lower(): _value(option) for option in _SETTING.finditer(rest)}
                settings.append(Setting(match[1], value, options, path, first.number, last.number, first.generated))
                rest = _SETTING.sub("", rest)
        if rest.strip():
            odd.append(Odd(path, first.number, f"has {rest.strip()!r:.60}, which Slurm cannot read"))
    return Conf(path, True, lines, tuple(settings), tuple(odd))


def _value(match: re.Match[str]) -> str:
    return match[3] if match[2] is None else match[2]


def _included(name: str, root: Path, names: dict[str, str], within: tuple[Path, ...]) -> Conf:
    """A relative path is one beside the including file; `%c` in it is the cluster's name."""
    name = name.replace("%c", names.get("clustername", "%c"))
    file = root / name.lstrip("/") if name.startswith("/") else within[-1].parent / name
    return _read(file, root, names, within) if len(within) <= _DEEPEST and file not in within else Conf(file)
