"""What is at some paths of a tree, looked at here or on nodes."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Optional

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import managers
from bcm_jobstats.imaging.chroot import Chroot
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.store import digest
from bcm_jobstats.imaging.trees import OutOfTree, Tree

END = "bcm-jobstats-end"
"""The last line of what a node tells: without it the answer was cut, by a node that went down, say."""
_TYPES = {stat.S_IFREG: "file", stat.S_IFLNK: "symlink", stat.S_IFDIR: "directory"}
_ASKED = re.compile(r"/[A-Za-z0-9_.:@+=,%/ -]+")
_STAT = re.compile(r"([0-9a-f]+) (\d+:\d+) (.+)")
_QUOTES = "'\"`\u2018\u2019"
"""coreutils puts names between one of these, by release and locale; none is in a name that we ask about."""
_SUM = re.compile(r"[0-9a-f]{64}  .")


@dataclass(frozen=True)
class Seen:
    """One path. `mode` is None where it does not matter, `sha256` that of a file, `target` that of a link; `out`: a
    link on the way, `target`, leads out of the tree, and what is there was not looked at."""

    type: str
    mode: Optional[int]
    owner: str
    sha256: str = ""
    target: str = ""
    out: bool = False


@dataclass(frozen=True)
class Sight:
    """Paths, lines of files by (path, key), packages by name. `owners`: whether owners were told truly."""

    paths: Mapping[str, Seen]
    lines: Mapping[tuple[str, str], Optional[str]]
    packages: Optional[Mapping[str, str]] = field(default_factory=dict)
    owners: bool = True


def in_tree(tree: Tree, manifest: Manifest) -> Sight:
    """What is in a tree where its manifest has something."""
    paths = {path: found for path in (*manifest.entries, *manifest.directories) if (found := _look(tree, path))}
    lines = {
        (path, key): line(tree.root / path.lstrip("/"), key) for path, keys in manifest.lines.items() for key in keys
    }
    return Sight(paths, lines, _installed(tree, manifest.packages), owners=os.geteuid() == 0)


def _installed(tree: Tree, asked: Mapping[str, str]) -> Optional[Mapping[str, str]]:
    """None where the image's package manager cannot be asked: rpm has to be run in the image, by root."""
    try:
        return managers.of_tree(Chroot(tree.root), tree.shown).versions(asked) if asked else {}
    except JobstatsError:
        return None


def line(file: Path, key: str) -> Optional[str]:
    """The line of a file that begins with `KEY:`."""
    text = file.read_bytes().decode("utf-8", "replace") if file.is_file() else ""
    return next((one for one in text.split("\n") if one.startswith(f"{key}:")), None)


def can_be_asked(path: str) -> bool:
    """Whether a node can be asked about a path: the question goes through cmsh and a shell."""
    return bool(_ASKED.fullmatch(path))


def command(
    paths: Iterable[str], lines: Collection[tuple[str, str]], packages: Collection[str], *, top: str = "/etc/.."
) -> str:
    """The shell command that has a node tell of all that. Nothing in it has a meaning to cmsh between double quotes,
    and paths are relative to `top`, the root by a name that is a path of every node; a pipe or a device is not read."""
    asked = " ".join(shlex.quote(path.lstrip("/")) for path in paths)
    words = [f"cd {top}", "export LC_ALL=C", "id -u"]
    if asked:
        words.append(f"stat -c '%f %u:%g %N' -- {asked}")
        words.append(f"find {asked} -maxdepth 0 -type f -exec sha256sum '{{}}' +")
    for path in sorted({path for path, _ in lines}):
        keys = " ".join(f"-e '^{key}:'" for where, key in sorted(lines) if where == path)
        words.append(f"grep -H {keys} {shlex.quote(path.lstrip('/'))}")
    if packages:
        names = " ".join(shlex.quote(name) for name in sorted(packages))
        words.append(f"(dpkg -s {names} || rpm -q {names}) | grep -v '^ '")
    return f"({' ; '.join(words)}) 2>/dev/null ; echo {END}"


def told(text: str, lines: Collection[tuple[str, str]], packages: Mapping[str, str]) -> Optional[Sight]:
    """What a node answered to `command`; None when the answer is not whole. `packages` are those it was asked for."""
    answer = text.strip("\n").split("\n")
    if len(answer) < 2 or answer[-1].strip() != END or not answer[0].strip().isdigit():
        return None
    paths: dict[str, Seen] = {}
    sums: dict[str, str] = {}
    found: dict[tuple[str, str], Optional[str]] = {}
    for one in answer[1:-1]:
        match = _STAT.fullmatch(one)
        if match:
            path, state = _stat(*match.groups())
            paths[path] = state
        elif _SUM.match(one):
            sums["/" + one[66:]] = one[:64]
        else:
            file, _, rest = one.partition(":")
            key = ("/" + file, rest.partition(":")[0])
            if key in lines:
                found[key] = rest
    for path, value in sums.items():
        if path in paths:
            paths[path] = replace(paths[path], sha256=value)
    return Sight(paths, found, _packages(answer, packages), owners=answer[0].strip() == "0")


def _stat(raw: str, owner: str, names: str) -> tuple[str, Seen]:
    mode = int(raw, 16)
    name, _, target = names.partition(" -> ")
    kind = _TYPES.get(stat.S_IFMT(mode), "other")
    return "/" + name.strip(_QUOTES), Seen(kind, stat.S_IMODE(mode), owner, target=target.strip(_QUOTES))


def _packages(answer: Iterable[str], asked: Mapping[str, str]) -> dict[str, str]:
    """name -> version of those that are installed, as dpkg tells them, or rpm: `name-version-release.machine`."""
    found: dict[str, str] = {}
    name = ""
    for one in answer:
        word, _, value = one.partition(": ")
        if word == "Package":
            name = value
        elif word == "Version" and name:
            found[name] = value
        elif word == "Status" and not value.endswith(" installed"):
            name = ""
        for package, version in asked.items():
            plain = version.rpartition(":")[2]  # rpm does not print an epoch
            if re.match(rf"{re.escape(f'{package}-{plain}')}([-.]|$)", one):
                found[package] = version
    return found


def _look(tree: Tree, path: str) -> Optional[Seen]:
    try:
        file = tree.locate(path)
        status = file.lstat()
    except OutOfTree:
        return Seen("other", None, "", target=str(PurePosixPath(path).parent), out=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    kind = _TYPES.get(stat.S_IFMT(status.st_mode), "other")
    return Seen(
        kind,
        stat.S_IMODE(status.st_mode),
        f"{status.st_uid}:{status.st_gid}",
        digest(file) if kind == "file" else "",
        str(file.readlink()) if kind == "symlink" else "",
    )
