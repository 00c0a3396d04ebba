"""A stand-in for rsync in Python, for machines without it: what `rsync -aH --delete` does with BCM's exclude lists.

ACLs and extended attributes are not kept. Of filter rules it knows ``- pattern`` and ``+ pattern``.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from typing import Optional

from bcm_jobstats.simulator.excludelists import Rules
from bcm_jobstats.simulator.imageseed import seed_image, stand_ins
from bcm_jobstats.simulator.treesync import Differing

__all__ = ["seed_image", "stand_ins", "sync"]

_Pattern = tuple[bool, bool, "re.Pattern[str]"]
"""Whether it excludes, whether it is for directories only, and what it matches."""


def sync(
    image: Path,
    node: Path,
    rules: Rules,
    *,
    dry_run: bool,
    delete: bool = True,
    differing: Optional[Differing] = None,
) -> list[str]:
    """Make the tree `node` equal to `image`: see `treesync.sync_tree`, which this stands in for.

    Modes, times, symbolic and hard links are kept, owners when run as root; a changed file is replaced by rename, so
    that a running program is not disturbed. Devices, sockets and pipes are not copied.
    """
    work = _Sync(image, node, rules, dry_run, delete, differing or (lambda path: None))
    if not dry_run:
        node.mkdir(parents=True, exist_ok=True)
    work.directory("")
    return [f"{item} {path}" for path, item in sorted(work.items.items())]


def excluded(path: str, is_directory: bool, rules: Sequence[str]) -> bool:
    """Whether the first of the rules that matches the relative `path` excludes it."""
    for excludes, directories, pattern in _compiled(tuple(rules)):
        if (is_directory or not directories) and pattern.fullmatch(path):
            return excludes
    return False


@lru_cache(maxsize=64)
def _compiled(rules: tuple[str, ...]) -> list[_Pattern]:
    return [(rule[0] == "-", rule.endswith("/"), _pattern(rule[2:].rstrip("/"))) for rule in rules]


def _pattern(text: str) -> re.Pattern[str]:
    """rsync's pattern: anchored with a slash in front, else it matches the end of a path; ``*`` stops at slashes."""
    anchor = "" if text.startswith("/") else "(?:.*/)?"
    parts = re.split(r"(\*\*|\*|\?)", text.lstrip("/"))
    words = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile(anchor + "".join(words.get(part) or re.escape(part) for part in parts), re.DOTALL)


@dataclass
class _Sync:
    """One run from `image` to `node`. Relative paths are POSIX strings, the root is the empty string."""

    image: Path
    node: Path
    rules: Rules
    dry_run: bool
    delete: bool
    differing: Differing
    items: dict[str, str] = field(default_factory=dict)
    first_names: dict[tuple[int, int], str] = field(default_factory=dict)

    def directory(self, path: str, *, filling: bool = False) -> None:
        """Sync the entries of one directory, then its own mode and times. `filling`: only what is missing there."""
        names = self.differing(path)
        wanted = {child: entry for child, entry in _entries(self.image, path) if names is None or entry.name in names}
        # In a dry run a link may still be where a directory goes.
        if self.delete and not filling and (not path or not (self.node / path).is_symlink()):
            for child, entry in _entries(self.node, path):
                if child not in wanted and (names is None or entry.name in names):
                    self._delete(child, entry.is_dir(follow_symlinks=False))
        for child, entry in wanted.items():
            with suppress(FileNotFoundError):  # vanished from the image meanwhile, as rsync's code 24
                self._child(child, entry, filling=filling)
        if not filling or path in self.items:
            self._attributes(path)

    def _child(self, path: str, entry: os.DirEntry[str], *, filling: bool) -> None:
        is_directory = entry.is_dir(follow_symlinks=False)
        if not filling and not excluded(path, is_directory, self.rules.all):
            self._entry(path, entry)
        elif self.rules.fills and not excluded(path, is_directory, self.rules.no_new):
            missing = not os.path.lexists(self.node / path)
            if missing and not is_directory:
                self._entry(path, entry)
            elif missing or is_directory:
                self._entry(path, entry, filling=True)

    def _entry(self, path: str, entry: os.DirEntry[str], *, filling: bool = False) -> None:
        target = self.node / path
        if entry.is_symlink():
            text = str(Path(entry.path).readlink())
            if not target.is_symlink() or str(target.readlink()) != text:
                self._install(path, "L", lambda temporary: temporary.symlink_to(text))
        elif entry.is_dir(follow_symlinks=False):
            if target.is_symlink() or not target.is_dir():
                if filling and os.path.lexists(target):
                    return
                self.items[path] = "cd+++++++++"
                if not self.dry_run:
                    target.unlink(missing_ok=True)
                    target.mkdir()
            self.directory(path, filling=filling)
        elif entry.is_file(follow_symlinks=False):
            self._file(path, entry.stat(follow_symlinks=False))

    def _file(self, path: str, source: os.stat_result) -> None:
        """Copy a file when type, size or time differs (rsync's quick check); later names of it become hard links."""
        first = self.first_names.setdefault((source.st_dev, source.st_ino), path) if source.st_nlink > 1 else path
        there = _lstat(self.node / path)
        if first != path:
            linked = _lstat(self.node / first)
            if there is None or linked is None or not os.path.samestat(there, linked):
                self._install(path, "f", lambda temporary: os.link(self.node / first, temporary, follow_symlinks=False))
        elif there is None or _content_key(there) != _content_key(source):
            self._install(path, "f", lambda temporary: _copy_file(self.image / path, temporary))
        else:
            self._attributes(path)

    def _install(self, path: str, kind: str, make: Callable[[Path], None]) -> None:
        """Put what `make` creates at a temporary name in the place of `path`, by rename."""
        target = self.node / path
        mark = ">" if kind == "f" else "c"
        item = f"{mark}{kind}.st......" if os.path.lexists(target) else f"{mark}{kind}+++++++++"
        if target.is_dir() and not target.is_symlink():
            self._delete(path, True)
        self.items[path] = item
        if self.dry_run:
            return
        temporary = target.with_name(f".{target.name}.{token_hex(4)}")
        try:
            make(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def _delete(self, path: str, is_directory: bool) -> bool:
        """Delete `path` from the node unless it is excluded; False when it, or something below it, stays."""
        if excluded(path, is_directory, self.rules.all):
            return False
        if is_directory:
            children = list(_entries(self.node, path))
            gone = [self._delete(child, entry.is_dir(follow_symlinks=False)) for child, entry in children]
            if not all(gone):
                return False
        self.items[path] = "*deleting  "
        if not self.dry_run:
            (self.node / path).rmdir() if is_directory else (self.node / path).unlink(missing_ok=True)
        return True

    def _attributes(self, path: str) -> None:
        """Give `path` the mode, owner and times it has in the image; times alone are no change worth a line."""
        source, there = _lstat(self.image / path), _lstat(self.node / path)
        if source is None or there is None or stat.S_IFMT(source.st_mode) != stat.S_IFMT(there.st_mode):
            return
        if _access(source) != _access(there):
            self.items.setdefault(path or ".", f".{'d' if stat.S_ISDIR(source.st_mode) else 'f'}...p.....")
        if not self.dry_run and (_access(source), source.st_mtime_ns) != (_access(there), there.st_mtime_ns):
            _copy_attributes(source, self.node / path)


def _entries(root: Path, path: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The entries of a directory in order of their names, each with its relative path; none if it is no directory."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(root / path) as found:
        for entry in sorted(found, key=lambda entry: entry.name):
            yield (f"{path}/{entry.name}" if path else entry.name), entry


def _copy_file(source: Path, temporary: Path) -> None:
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # never readable by more than in the end
    shutil.copyfile(source, temporary)
    _copy_attributes(source.lstat(), temporary)


def _copy_attributes(source: os.stat_result, target: Path) -> None:
    if os.geteuid() == 0:
        os.chown(target, source.st_uid, source.st_gid)
    target.chmod(stat.S_IMODE(source.st_mode))
    os.utime(target, ns=(source.st_atime_ns, source.st_mtime_ns))


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _content_key(status: os.stat_result) -> tuple[int, int, int]:
    return stat.S_IFMT(status.st_mode), status.st_size, status.st_mtime_ns


def _access(status: os.stat_result) -> tuple[int, ...]:
    mode = stat.S_IMODE(status.st_mode)
    return (mode, status.st_uid, status.st_gid) if os.geteuid() == 0 else (mode,)
