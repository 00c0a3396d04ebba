"""Software images as directory trees: the image a site starts from, and the sync of an image to a node.

The sync follows `rsync -aH --delete` with the exclude lists that BCM uses for imageupdate (bcm-facts §6).
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from typing import Optional

from bcm_jobstats.simulator.imageseed import seed_image, stand_ins

__all__ = ["INSTALL_EXCLUDES", "NO_NEW_FILES", "UPDATE_EXCLUDES", "seed_image", "stand_ins", "sync"]

# Never copied, never deleted: the defaults of a category's excludelistupdate (bcm-facts §6), the kernel's file
# systems, and what is per node. BCM itself excludes static mounts, here /cm/shared.
UPDATE_EXCLUDES: tuple[str, ...] = (
    *("/proc/*", "/sys/*", "/dev/*", "/tmp/*", "/var/tmp/*", "/var/log/*", "/var/spool/*"),  # noqa: S108
    *("/home", "/data", "/local", "/scratch", "/root/.bash_history", "/lost+found"),
    *("/etc/hostname", "/etc/HOSTNAME", "/etc/hosts", "/etc/resolv.conf", "/etc/machine-id", "/etc/mtab", "/etc/fstab"),
    *("/etc/sysconfig/network-scripts/ifcfg-*", "/etc/network/interfaces", "/etc/ssh/ssh_host_*"),
    *("/etc/systemd/system/*.wants/munge.service", "/etc/systemd/system/*.wants/nfs*.service"),
    *("/etc/systemd/system/*.wants/slurmctld.service", "/etc/systemd/system/*.wants/slurmd.service"),
    *("/etc/systemd/system/*.wants/slurmdbd.service", "/cm/local/apps/cmd/etc/*", "/cm/node-installer/*"),
    *(
        "/cm/shared",
        "/cm/images/*",
        "/var/lib/dhclient",
        "/var/lib/ldap",
        "/var/lib/logrotate.status",
        "/var/lib/mlocate",
    ),
    *("/var/lib/nfs", "/var/lib/sss", "/var/lib/systemd/random-seed"),
)
# What a boot leaves alone: excludelistsyncinstall, of the install mode AUTO (bcm-facts §6), and what is per node.
INSTALL_EXCLUDES: tuple[str, ...] = (
    *("/proc/*", "/sys/*", "/dev/*", "/run/*", "/tmp/*", "/var/tmp/*", "/var/log/*", "/lost+found"),  # noqa: S108
    *("/data", "/home", "/local", "/scratch", "/cm/shared", "/cm/node-installer/*"),
    *("/etc/hostname", "/etc/hosts", "/etc/machine-id", "/etc/resolv.conf", "/etc/ssh/ssh_host_*"),
)
# The second list, `no-new-files:`: what the node has is updated, nothing is added there and nothing deleted.
NO_NEW_FILES: tuple[str, ...] = ("/run/*", "/cm/shared/*")


Differing = Callable[[str], Optional[Collection[str]]]
"""The relative path of a directory -> the names in it that may differ between image and node; None for any."""


def sync(
    image: Path,
    node: Path,
    *,
    dry_run: bool,
    excludes: Sequence[str] = UPDATE_EXCLUDES,
    no_new_files: Sequence[str] = NO_NEW_FILES,
    differing: Differing = lambda path: None,
) -> list[str]:
    """Make the tree `node` equal to `image`, deletions included; the sorted relative paths that changed.

    Modes, times, symbolic and hard links are kept, owners when run as root; a changed file is replaced by rename, so
    that a running program is not disturbed. Patterns are anchored at the root and match one path component per `*`,
    as rsync's do. With `dry_run` nothing is touched. Devices, sockets and pipes are not copied. `differing` spares a
    look at what is known to be the same.
    """
    if not image.is_dir():
        raise NotADirectoryError(20, "no such software image", str(image))  # an empty one would delete every file
    work = _Sync(image, node, tuple(excludes), tuple(no_new_files), dry_run, differing)
    if not dry_run:
        node.mkdir(parents=True, exist_ok=True)
    work.directory("")
    return sorted(work.changed)


def _matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether the relative `path` or a directory above it matches one of the anchored `patterns`."""
    return _compiled(tuple(patterns)).fullmatch(path) is not None


@lru_cache(maxsize=32)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    parts = (re.escape(pattern.strip("/")).replace(r"\*", "[^/]*").replace(r"\?", "[^/]") for pattern in patterns)
    return re.compile(f"(?:{'|'.join(parts)})(?:/.*)?", re.DOTALL) if patterns else re.compile("(?!)")


@dataclass
class _Sync:
    """One run from `image` to `node`. Relative paths are POSIX strings, the root is the empty string."""

    image: Path
    node: Path
    excludes: Sequence[str]
    no_new_files: Sequence[str]
    dry_run: bool
    differing: Differing
    changed: set[str] = field(default_factory=set)
    first_names: dict[tuple[int, int], str] = field(default_factory=dict)

    def directory(self, path: str) -> None:
        """Sync the entries of one directory, then its own mode and times."""
        names = self.differing(path)
        wanted = {child: entry for child, entry in _entries(self.image, path) if names is None or entry.name in names}
        if not path or not (self.node / path).is_symlink():  # in a dry run a link may still be where a directory goes
            for child, entry in _entries(self.node, path):
                if child not in wanted and (names is None or entry.name in names):
                    self._delete(child, entry.is_dir(follow_symlinks=False))
        for child, entry in wanted.items():
            if _matches(child, self.excludes) or self._may_not_be_new(child):
                continue
            with suppress(FileNotFoundError):  # vanished from the image meanwhile, as rsync's code 24
                self._entry(child, entry)
        self._attributes(path)

    def _may_not_be_new(self, path: str) -> bool:
        return _matches(path, self.no_new_files) and not os.path.lexists(self.node / path)

    def _entry(self, path: str, entry: os.DirEntry[str]) -> None:
        target = self.node / path
        if entry.is_symlink():
            text = str(Path(entry.path).readlink())
            if not target.is_symlink() or str(target.readlink()) != text:
                self._install(path, lambda temporary: temporary.symlink_to(text))
        elif entry.is_dir(follow_symlinks=False):
            if target.is_symlink() or not target.is_dir():
                self.changed.add(path)
                if not self.dry_run:
                    target.unlink(missing_ok=True)
                    target.mkdir()
            self.directory(path)
        elif entry.is_file(follow_symlinks=False):
            self._file(path, entry.stat(follow_symlinks=False))

    def _file(self, path: str, source: os.stat_result) -> None:
        """Copy a file when type, size or time differs (rsync's quick check); later names of it become hard links."""
        first = self.first_names.setdefault((source.st_dev, source.st_ino), path) if source.st_nlink > 1 else path
        there = _lstat(self.node / path)
        if first != path:
            linked = _lstat(self.node / first)
            if there is None or linked is None or not os.path.samestat(there, linked):
                self._install(path, lambda temporary: os.link(self.node / first, temporary, follow_symlinks=False))
        elif there is None or _content_key(there) != _content_key(source):
            self._install(path, lambda temporary: _copy_file(self.image / path, temporary))
        else:
            self._attributes(path)

    def _install(self, path: str, make: Callable[[Path], None]) -> None:
        """Put what `make` creates at a temporary name in the place of `path`, by rename."""
        self.changed.add(path)
        target = self.node / path
        if target.is_dir() and not target.is_symlink():
            self._delete(path, True)
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
        if _matches(path, self.excludes) or _matches(path, self.no_new_files):
            return False
        if is_directory:
            children = list(_entries(self.node, path))
            gone = [self._delete(child, entry.is_dir(follow_symlinks=False)) for child, entry in children]
            if not all(gone):
                return False
        self.changed.add(path)
        if not self.dry_run:
            (self.node / path).rmdir() if is_directory else (self.node / path).unlink(missing_ok=True)
        return True

    def _attributes(self, path: str) -> None:
        """Give `path` the mode, owner and times it has in the image; times alone are no change worth a line."""
        source, there = _lstat(self.image / path), _lstat(self.node / path)
        if source is None or there is None or stat.S_IFMT(source.st_mode) != stat.S_IFMT(there.st_mode):
            return
        if _access(source) != _access(there):
            self.changed.add(path or ".")
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
