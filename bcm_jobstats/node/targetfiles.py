"""The targets directory on shared storage, written as scripts/jobstats-target does it, but never for long."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Optional

from bcm_jobstats.node import ownfiles
from bcm_jobstats.node.config import STAGING
from bcm_jobstats.node.ports import NoFolder, StorageLost
from bcm_jobstats.node.storage import Storage

MOST = 1 << 20
"""Bytes that are read of a target file, which has a few hundred."""
MISSING = "Is shared storage mounted? bcm-jobstats apply creates the folder."
OWNER = "Who owns it? bcm-jobstats apply gives it to the exporters' user."
CAUSES = {
    errno.ENOENT: ("there is no such folder", MISSING),
    errno.ENOTDIR: ("is not a folder", MISSING),
    errno.EROFS: (
        "is read-only",
        "Mount it read-write; is it in ReadWritePaths= of bcm-role-monitor.service?",
    ),
    errno.ENOSPC: ("the file system is full", "Make room there."),
    errno.EDQUOT: ("the quota is used up", "Make room there, or raise the quota of the exporters' user."),
    errno.EACCES: ("permission is denied", OWNER),
    errno.EPERM: ("permission is denied", OWNER),
    errno.ESTALE: ("the mount is out of date", "Mount shared storage anew."),
    errno.EISDIR: ("has a folder in the place of the target file", "Remove that folder."),
    errno.ENOTEMPTY: ("has a folder in the place of the target file", "Remove that folder."),
}


class TargetFiles:
    """ports.Registry on one directory."""

    def __init__(self, directory: Path, storage: Storage) -> None:
        self._directory = directory
        self._storage = storage

    def read(self, name: str) -> Optional[bytes]:
        """What the file with this name holds; None where there is none. Raises StorageLost."""
        return self._storage.run(str(self._directory), lambda: self._read(name))

    def put(self, name: str, content: bytes) -> bool:
        """Have a file with this name and content there; False when it was so already. Raises StorageLost."""
        return self._storage.run(str(self._directory), lambda: self._put(name, content))

    def remove(self, name: str) -> bool:
        """Have no such file there; False when it was so already. Raises StorageLost."""
        return self._storage.run(str(self._directory), lambda: self._remove(name))

    def _read(self, name: str) -> Optional[bytes]:
        try:
            self._directory.stat()  # a folder that is not mounted may hold the file all the same
            return _content(self._directory / name)
        except OSError as error:
            raise _lost(self._directory, error) from None

    def _put(self, name: str, content: bytes) -> bool:
        # Nothing is written when nothing changed: every write makes Prometheus read all files again.
        if self._read(name) == content:
            return False
        staging = self._directory.parent / STAGING
        new = staging / f"{name[: -len('.json')]}.{os.getpid()}"
        try:
            there = self._directory.stat()
            _make(staging, there)
            _write(new, content, there)
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            raise _lost(staging, error) from None
        try:
            new.replace(self._directory / name)
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            raise _lost(self._directory, error) from None
        return True

    def _remove(self, name: str) -> bool:
        try:
            self._directory.stat()
        except OSError as error:
            raise _lost(self._directory, error) from None
        try:
            (self._directory / name).lstat()  # where nothing can be written, unlink says so also of what is not there
            (self._directory / name).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _lost(self._directory, error) from None
        return True


def _content(path: Path) -> Optional[bytes]:
    """What a plain file holds, MOST bytes at most; None when there is no such file, or none that may be read."""
    try:
        return ownfiles.read(path, MOST)
    except ValueError:
        return None
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.EACCES, errno.ENXIO):
            return None
        raise


def _make(staging: Path, like: os.stat_result) -> None:
    """The folder of unfinished files, where nobody made it before; its owner is that of the targets directory."""
    with suppress(FileExistsError):
        staging.mkdir(0o755)
        if os.geteuid() == 0:
            os.chown(staging, like.st_uid, like.st_gid)


def _write(path: Path, content: bytes, like: os.stat_result) -> None:
    """A whole file that has reached the disk. Written by root, it belongs to who owns the targets directory."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o644)
        if os.geteuid() == 0:
            os.fchown(descriptor, like.st_uid, like.st_gid)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _lost(folder: Path, error: OSError) -> StorageLost:
    known = CAUSES.get(error.errno or 0, (str(error.strerror or error).lower(), "Is shared storage in order?"))
    gone = error.errno == errno.ENOENT and folder.parent.is_dir()
    return (NoFolder if gone else StorageLost)(str(folder), *known)
