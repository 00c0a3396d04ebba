"""Files by their sha256 on the head node: programs that images get, and the files of packages.

Every file is complete or not there, whatever ends a run, and is summed again when it is used.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Optional

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.manifest import write_atomically
from bcm_jobstats.imaging.unfollowed import created

FOLDER = "var/lib/bcm-jobstats/artifacts"
CHUNK = 1 << 20
_DIGITS = frozenset("0123456789abcdef")


class CannotKeep(JobstatsError):
    """The store cannot be written or read: full, read-only, or no permission."""


class NotKept(JobstatsError):
    """A file that the store should have is gone, or is no longer the file it was."""


class Store:
    """A folder with one file for each sum, and an index of what they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @staticmethod
    def of_head(root: Path) -> Store:
        """The store of the head node whose paths begin with `root`."""
        return Store(root / FOLDER)

    def get(self, sha256: str) -> Optional[Path]:
        """The file with that sum; None when it is not there or was damaged: make it anew with `put`."""
        path = self.folder / sha256
        return path if path.is_file() and digest(path) == sha256 else None

    def require(self, sha256: str, subject: str) -> Path:
        """The file with that sum; raises NotKept."""
        found = self.get(sha256)
        if found is None:
            state = "is damaged" if (self.folder / sha256).exists() else "is not there"
            remedy = "Put it back from backup or from the other head node."
            raise NotKept(subject, f"its file {self.folder / sha256} {state}", remedy)
        return found

    def put(self, chunks: Iterable[bytes], accept: Callable[[str], None] = lambda sha256: None) -> str:
        """Keep a file, durably; returns its sha256. Raises CannotKeep; what `chunks` raises, or `accept` when it is
        told the sum, leaves nothing behind."""
        with self.alone():
            part = self.folder / ".part"
            try:
                with self._guarded():
                    file = created(part)
                with file:
                    sha256 = self._write(file, chunks)
                accept(sha256)
                part.replace(self.folder / sha256)
            finally:
                part.unlink(missing_ok=True)
        return sha256

    @contextmanager
    def copy(self, chunks: Iterable[bytes]) -> Iterator[tuple[IO[bytes], str]]:
        """A copy without a name, to read from, and its sha256; nobody can change it, and it is gone afterwards however
        a run ends. Raises CannotKeep."""
        self.prepare()
        with self._guarded():
            file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - closed below, outside of _guarded
        with file:
            sha256 = self._write(file, chunks)
            file.seek(0)
            yield file, sha256

    def put_file(self, file: Path) -> str:
        """Keep a copy of `file`; returns its sha256."""
        return self.put(read(file))

    def prepare(self) -> None:
        """Make the folder, for nobody else to read. CannotKeep when there is one that somebody else can write to: what
        it tells could be anything. A folder next to a bundle may be in a directory such as /tmp."""
        with self._guarded():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            status = self.folder.lstat()
            if not stat.S_ISDIR(status.st_mode):
                raise CannotKeep(str(self.folder), "is a symbolic link", "Remove it, and run the command again.")
            if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                cause = "belongs to somebody else, or others can write to it"
                raise CannotKeep(str(self.folder), cause, "Remove it, and run the command again.")
            self.folder.chmod(0o700)

    @contextmanager
    def alone(self) -> Iterator[int]:
        """One process at a time; yields the lock's descriptor, which a child may inherit to hold it on."""
        self.prepare()
        with self._guarded():
            lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)

    def learn(self, key: str, value: str) -> None:
        """Note something to save work later, such as the sum of one member of one archive."""
        if self.known(key) == value:
            return
        with self.alone():
            told = {**self._index(), key: value}
            with self._guarded():
                write_atomically(self.folder / "index.json", json.dumps(told, indent=1, sort_keys=True).encode(), 0o600)

    def known(self, key: str) -> Optional[str]:
        """What was noted for `key`."""
        return self._index().get(key)

    def made(self, key: str) -> Optional[str]:
        """The sum that was noted for `key`, when its file is there and whole."""
        sha256 = self.known(key)
        return sha256 if sha256 and self.get(sha256) else None

    def _index(self) -> Mapping[str, str]:
        # Only a memory of what can be made again: lost or damaged, it begins anew.
        try:
            told = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        pairs = told.items() if isinstance(told, dict) else ()
        return {str(key): value for key, value in pairs if isinstance(value, str)}

    def _write(self, file: IO[bytes], chunks: Iterable[bytes]) -> str:
        told = hashlib.sha256()
        for chunk in chunks:  # errors of the source are not ours, and pass
            told.update(chunk)
            with self._guarded():
                file.write(chunk)
        with self._guarded():
            file.flush()
            os.fsync(file.fileno())
        return told.hexdigest()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            remedy = "Make room on the file system." if full else "Run it as root on the head node."
            raise CannotKeep(str(self.folder), error.strerror or str(error), remedy) from error


def read(file: Path) -> Iterator[bytes]:
    """The content of `file` in pieces."""
    with file.open("rb") as opened:
        yield from pieces(opened)


def pieces(opened: IO[bytes]) -> Iterator[bytes]:
    """What is left of an open file, in pieces."""
    while chunk := opened.read(CHUNK):
        yield chunk


def digest(file: Path) -> str:
    """The sha256 of `file`, in hexadecimal digits."""
    return summed(read(file))


def summed(chunks: Iterable[bytes]) -> str:
    """The sha256 of all `chunks` together."""
    told = hashlib.sha256()
    for chunk in chunks:
        told.update(chunk)
    return told.hexdigest()


def is_sum(text: str) -> bool:
    """Whether `text` is a sha256 in small hexadecimal digits."""
    return len(text) == 64 and _DIGITS.issuperset(text)
