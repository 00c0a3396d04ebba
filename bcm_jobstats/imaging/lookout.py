"""Looks on a node, or in the tree of an image, for what capture.py has rules about."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from bcm_jobstats.imaging.capture import Entry, wanted
from bcm_jobstats.imaging.rules import KEY, KEY_DEPTH, KEY_FILES, KEY_PLACES, KEY_SIZE, RULES, besides
from bcm_jobstats.imaging.trees import DEFAULT_MANIFEST

END = "bcm-jobstats-end"
"""The last line of what a node tells: without it the answer was cut."""
REMOTE = ("nfs", "nfs4", "lustre", "gpfs", "beegfs")
"""File systems that are no node's own, and not searched: BCM excludes what is mounted statically (bcm-facts §6)."""
PRUNED = f"-type d '(' {' -o '.join(f'-fstype {kind}' for kind in REMOTE)} ')' -prune -o"
JOBS = "sys/fs/cgroup/system.slice/*slurmstepd.scope/job_* sys/fs/cgroup/*/slurm*/uid_*/job_*"
"""Cgroups of running jobs, by version 2 and 1 (Slurm's cgroup plugins); the names end with the job's number."""
_PLACE = re.compile(r"@(=?)(\S+)")
_FILES = re.compile(r"#(\d+)")
_SUM = re.compile(r"=([0-9a-f]{64}) .*")
_KEY = re.compile(KEY.encode(), re.MULTILINE)
_JOB = re.compile(r"sys/fs/cgroup/.*/job_(\d+)")


@dataclass(frozen=True)
class Told:
    """What a node told: what it has of what the rules look for, the jobs that run there, the sha256 of our manifest,
    empty when it has none, and the places with more than KEY_FILES small files, not all of which were looked into."""

    entries: tuple[Entry, ...]
    jobs: tuple[str, ...] = ()
    manifest: str = ""
    crowded: tuple[str, ...] = ()


def command() -> str:
    """The shell command that has a node tell. Nothing in it has a meaning to cmsh between double quotes; paths are
    relative to the root, by a name that is a path of every node. `ls -q` keeps each name on one line."""
    words = [*(_find(place) for place in _places()), *(_search(place) for place in KEY_PLACES)]
    words.append(f"ls -d {JOBS}")
    words.append(f"sha256sum {DEFAULT_MANIFEST.lstrip('/')} | sed 's/^/=/'")
    return f"(cd /etc/.. ; export LC_ALL=C ; {' ; '.join(words)}) 2>/dev/null ; echo {END}"


def told(text: str) -> Optional[Told]:
    """What a node answered; None when the answer is not whole."""
    lines = text.strip("\n").split("\n")
    if lines[-1].strip() != END:
        return None
    entries, jobs, crowded, manifest, place, keys = [], set(), [], "", "", False
    for line in lines[:-1]:
        if match := _PLACE.fullmatch(line):
            keys, place = bool(match.group(1)), f"/{match.group(2)}"
        elif match := _FILES.fullmatch(line):
            crowded += [place] if int(match.group(1)) > KEY_FILES else []
        elif match := _SUM.fullmatch(line):
            manifest = match.group(1)
        elif match := _JOB.fullmatch(line):
            jobs.add(match.group(1))
        elif line.startswith("./") and place:
            entries.append(Entry(f"{place}/{line[2:].rstrip('/')}", line.endswith("/"), has_key=keys))
    return Told(tuple(entries), tuple(sorted(jobs, key=int)), manifest, tuple(crowded))


def of_tree(root: Path) -> list[Entry]:
    """The same of a tree on this machine, links not followed; all small files are looked into, however many."""
    found = []
    for place in _places():
        top = root / place.lstrip("/")
        depth = max(rule.depth for rule in RULES if rule.place == place)
        found += [Entry(f"{place}/{relative}", is_dir) for relative, is_dir in _below(top, depth, place)]
    for place in KEY_PLACES:
        top = root / place.lstrip("/")
        found += [Entry(f"{place}/{relative}", has_key=True) for relative in _keys(top, KEY_DEPTH)]
    return found


def _places() -> list[str]:
    return list(dict.fromkeys(rule.place for rule in RULES))


def _find(place: str) -> str:
    """One `find` for all rules about one directory."""
    rules = [rule for rule in RULES if rule.place == place]
    patterns = [pattern for rule in rules for pattern in (*rule.patterns, *besides(rule))]
    names = " -o ".join(f"-ipath './{pattern}'" for pattern in dict.fromkeys(patterns))
    depth = max(rule.depth for rule in rules)
    there = f"cd {place.lstrip('/')} && echo @{place.lstrip('/')} && find . -xdev -mindepth 1 -maxdepth {depth}"
    if all(rule.some for rule in rules):
        away = " ".join(f"-not -fstype {kind}" for kind in REMOTE)
        but = " ".join(f"-not -ipath './{pattern}'" for rule in rules for pattern in rule.but)
        return f"({there} -not -empty {away} {but} -exec ls -dpq '{{}}' ';' -quit)"
    return f"({there} {PRUNED} -not -empty '(' {names} ')' -exec ls -dpq '{{}}' +)"


def _search(place: str) -> str:
    """One look into the small files of a directory for private keys, and how many files that would be."""
    small = f"find . -xdev -mindepth 1 -maxdepth {KEY_DEPTH} {PRUNED} -type f -size -{KEY_SIZE // 512 + 1} -size +0"
    count = f"{small} -printf x | head -c {KEY_FILES + 1} | wc -c | sed 's/^ */#/'"
    look = f"{small} -print0 | head -z -n {KEY_FILES} | xargs -0 -r grep -lEsZ -e '{KEY}' | xargs -0 -r ls -dpq"
    return f"(cd {place.lstrip('/')} && echo @={place.lstrip('/')} && {count} && {look})"


def _below(top: Path, depth: int, place: str, above: str = "") -> Iterator[tuple[str, bool]]:
    if not top.is_dir() or top.is_symlink():
        return
    with os.scandir(top) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            relative, is_dir = f"{above}{entry.name}", entry.is_dir(follow_symlinks=False)
            if wanted(place, relative) and not _is_empty(entry):
                yield relative, is_dir
            if is_dir and depth > 1:
                yield from _below(Path(entry.path), depth - 1, place, f"{relative}/")


def _keys(top: Path, depth: int, above: str = "") -> Iterator[str]:
    if not top.is_dir() or top.is_symlink():
        return
    with os.scandir(top) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if entry.is_dir(follow_symlinks=False) and depth > 1:
                yield from _keys(Path(entry.path), depth - 1, f"{above}{entry.name}/")
            elif entry.is_file(follow_symlinks=False) and _has_key(entry):
                yield f"{above}{entry.name}"


def _has_key(entry: os.DirEntry[str]) -> bool:
    if not 0 < entry.stat(follow_symlinks=False).st_size <= KEY_SIZE:
        return False
    with suppress(PermissionError):  # only root reads everything
        return bool(_KEY.search(Path(entry.path).read_bytes()))
    return False


def _is_empty(entry: os.DirEntry[str]) -> bool:
    if entry.is_dir(follow_symlinks=False):
        return not any(Path(entry.path).iterdir())
    return entry.is_file(follow_symlinks=False) and not entry.stat().st_size
