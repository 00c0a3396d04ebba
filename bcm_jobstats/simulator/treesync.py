"""Syncs of trees with rsync, as BCM makes them: image to node, node to image, head to head (bcm-facts §6).

`rsync -aHAX --delete --numeric-ids` with the lists of :mod:`.excludelists` as filters; a list that fills what is
missing needs a second run for that. Where the machine has no rsync, :mod:`.imagetree` stands in for it.

Times are compared to the nanosecond, not to the second: what takes minutes at a site takes milliseconds here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Optional

from bcm_jobstats.simulator.excludelists import Rules

Differing = Callable[[str], Optional[Collection[str]]]
"""The relative path of a directory -> the names in it that may differ between the trees; None for any."""

EVERYTHING = Rules()
"""Nothing is excluded."""
VANISHED = 24
"""rsync's exit status when files of the source went away meanwhile: no error (rsync(1))."""
_RSYNC = (
    *("rsync", "-aHAX", "--numeric-ids", "--modify-window=-1", "--8-bit-output"),
    "--out-format=%i %n%L",
)
_ESCAPED = re.compile(r"\\#(\d{3})")


class SyncError(OSError):
    """A sync broke off; the text is what rsync said last. What was copied until then stays."""


@cache
def has_rsync() -> bool:
    """Whether this machine has rsync."""
    return shutil.which("rsync") is not None


def sync_tree(
    source: Path,
    target: Path,
    rules: Rules = EVERYTHING,
    *,
    dry_run: bool = False,
    delete: bool = True,
    differing: Optional[Differing] = None,
) -> list[str]:
    """Make `target` equal to `source` but for what `rules` exclude; rsync's itemized lines of what changed.

    With `dry_run` nothing is touched. `differing` spares a look at what is known to be the same. Raises
    NotADirectoryError when there is no `source`, which would empty the target, and SyncError.
    """
    if not source.is_dir():
        raise NotADirectoryError(20, "no such tree", str(source))
    if not has_rsync():
        from bcm_jobstats.simulator.imagetree import sync  # the stand-in

        return sync(source, target, rules, dry_run=dry_run, delete=delete, differing=differing)
    if not dry_run:
        target.mkdir(parents=True, exist_ok=True)
    narrow = list(_narrowed(source, target, differing)) if differing else []
    options = ["--delete"] if delete else []
    lines = _rsync(source, target, [*rules.all, *narrow], options, dry_run=dry_run)
    if rules.fills:
        lines += _fill(source, target, [*rules.no_new, *narrow], lines, dry_run=dry_run)
    return lines


def changed(lines: Iterable[str]) -> list[str]:
    """The sorted relative paths that itemized lines tell of; new times alone are no change."""
    found = set()
    for line in lines:
        item, _, rest = line.partition(" ")
        if item[:1] == "." and not set(item[2:]) - set(".tT"):
            continue
        found.add(_name(item, rest))
    return sorted(found)


def _name(item: str, rest: str) -> str:
    mark = {"h": " => ", "L": " -> "}.get(item[0] if item[0] == "h" else item[1])
    name = rest.strip() if item.startswith("*") else rest
    name = name.rpartition(mark)[0] or name if mark else name
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), name.rstrip("/")) or "."


def _fill(source: Path, target: Path, rules: Sequence[str], known: Sequence[str], *, dry_run: bool) -> list[str]:
    """Copy what is excluded and missing. What is there keeps its mode, which is why rsync gets a list of names."""
    seen = set(known)
    found = _rsync(source, target, rules, ["--ignore-existing"], dry_run=True)
    new = [line for line in found if line not in seen and "+++" in line.partition(" ")[0]]
    if new and not dry_run:
        names = "\0".join(_name(*line.split(" ", 1)) for line in new) + "\0"
        options = ["--no-recursive", "--dirs", "--no-implied-dirs", "--ignore-existing", "--from0", "--files-from=-"]
        _rsync(source, target, (), options, dry_run=False, text=names)
    return new


def _narrowed(source: Path, target: Path, differing: Differing, path: str = "") -> Iterator[str]:
    """Rules that keep rsync from looking at what is the same on both sides."""
    names = differing(path)
    if names is None:
        return
    for name in names:
        child = f"{path}/{name}" if path else name
        yield f"+ /{_literal(child)}"
        if any((root / child).is_dir() and not (root / child).is_symlink() for root in (source, target)):
            yield from _narrowed(source, target, differing, child)
    yield f"- /{_literal(path)}/*" if path else "- /*"


def _literal(path: str) -> str:
    """A path as a pattern that matches just it: a backslash quotes only in patterns with a wildcard (rsync(1))."""
    return re.sub(r"([*?\[\\])", r"\\\1", path) if set(path) & set("*?[") else path


def _rsync(
    source: Path, target: Path, rules: Sequence[str], options: Sequence[str], *, dry_run: bool, text: str = ""
) -> list[str]:
    """Run rsync; its itemized lines. Without root it makes no devices, sockets and pipes."""
    more = [*options, *(["--dry-run"] if dry_run else []), *([] if os.geteuid() == 0 else ["--no-D"])]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="surrogateescape", prefix="bcm-filter-") as filters:
        filters.write("".join(f"{rule}\n" for rule in rules))
        filters.flush()
        done = subprocess.run(
            [*_RSYNC, *more, f"--filter=merge {filters.name}", f"{source}/", f"{target}/"],
            input=text, capture_output=True, text=True, errors="surrogateescape", check=False,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    if done.returncode not in (0, VANISHED):
        raise SyncError(_reason(done.stderr) or f"rsync ended with {done.returncode}")
    return [line for line in done.stdout.splitlines() if not line.startswith("cannot delete non-empty directory")]


def _reason(stderr: str) -> str:
    """The first line of rsync's complaints: the last only tells its exit status."""
    return next((line for line in stderr.splitlines() if line.strip()), "")
