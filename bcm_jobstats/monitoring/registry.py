"""The targets directory as it is: every file that Prometheus would read there, and what stands in it.

Shared storage hangs when its server does. Everything here is over within PATIENCE, or StorageHangs tells of it.
"""

from __future__ import annotations

import json
import os
import re
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Optional, TypeVar

from bcm_jobstats.errors import JobstatsError

PATIENCE = 15.0
"""Seconds. 10,000 files take less than one; an NFS server that was started anew answers within these."""
LARGEST = 4 * 1024 * 1024
"""Bytes of a file that is read. 1,000 targets in one file take 200 kB."""
LABELS = frozenset({"job", "cluster", "hostname"})
"""What every target of ours has, and nothing else (design §7)."""
NO_FILE = "is not a file"
GONE = "is gone"
"""The fault of a file that went between being listed and being read."""
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
T = TypeVar("T")


class StorageHangs(JobstatsError):
    """The targets directory does not answer."""


class NoDirectory(JobstatsError):
    """There is no targets directory: shared storage may not be mounted."""


class NotListed(JobstatsError):
    """The targets directory is there and cannot be read. That is not an empty one."""


@dataclass(frozen=True)
class Group:
    """What Prometheus calls a target group: addresses with the same labels."""

    targets: tuple[str, ...]
    labels: Mapping[str, str]


@dataclass(frozen=True)
class TargetFile:
    """One file of the directory. `fault` says why Prometheus cannot use it; it has no groups then."""

    path: Path
    content: bytes = b""
    groups: tuple[Group, ...] = ()
    fault: str = ""
    mode: int = 0o644
    stamp: tuple[int, ...] = ()
    """See `stamp`; of the time before it was read."""

    @property
    def host(self) -> str:
        """The node whose file it is by its name."""
        return self.path.name[: -len(".json")].partition("+")[0]

    @property
    def role(self) -> str:
        """The role that it is for by its name (stack.targets)."""
        return self.path.name[: -len(".json")].partition("+")[2] or "jobstats"

    @property
    def clusters(self) -> set[str]:
        """The values of the label `cluster` in it."""
        return {group.labels["cluster"] for group in self.groups if "cluster" in group.labels}

    @property
    def has_our_shape(self) -> bool:
        """Whether a node of some cluster may have written it: all labels are ours, of the host of its name."""
        labels = [group.labels for group in self.groups]
        return bool(labels) and all(set(one) == LABELS and one["hostname"] == self.host for one in labels)


def target_files(directory: Path) -> list[TargetFile]:
    """Every file that Prometheus' glob finds, by name. Raises NoDirectory, NotListed and StorageHangs."""
    return within(directory, lambda: [file for path in paths(directory) if (file := read(path)).fault != GONE])


def files_if_any(directory: Path) -> list[TargetFile]:
    """The same; none where there is no such directory, as before the first apply."""
    try:
        return target_files(directory)
    except NoDirectory:
        return []


def paths(directory: Path) -> list[Path]:
    """What `*.json` finds. Prometheus' glob takes hidden files too, as this one does. Raises NoDirectory, NotListed."""
    try:
        with os.scandir(directory) as entries:
            return sorted(directory / entry.name for entry in entries if entry.name.endswith(".json"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoDirectory(str(directory), "there is no such directory", "Is shared storage mounted?") from error
    except OSError as error:
        cause = f"cannot be listed ({error.strerror})"
        raise NotListed(str(directory), cause, "Is shared storage in order, and may this user read there?") from error


def stamp(path: Path) -> tuple[int, ...]:
    """What changes with a file, empty where there is none; one that is replaced by rename has another number."""
    try:
        return _stamp(path.stat())
    except OSError:
        return ()


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def read(path: Path) -> TargetFile:
    """One file; a fault is told, never raised."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # whatever it is, opening it may wait for ever
            return TargetFile(path, fault=NO_FILE)
        if status.st_size > LARGEST:
            return TargetFile(path, fault=f"is larger than {LARGEST >> 20} MiB", stamp=_stamp(status))
        content = path.read_bytes()
    except OSError as error:
        return TargetFile(path, fault=f"cannot be read ({error.strerror})" if os.path.lexists(path) else GONE)
    mode, was = stat.S_IMODE(status.st_mode), _stamp(status)
    try:
        return TargetFile(path, content, groups_of(content), mode=mode, stamp=was)
    except (ValueError, RecursionError) as error:
        return TargetFile(path, content, fault=f"is not a list of targets: {error}", mode=mode, stamp=was)


def groups_of(content: bytes) -> tuple[Group, ...]:
    """The groups of a file as Prometheus takes them; ValueError says what it would not take."""
    document = json.loads(content)
    if not isinstance(document, list):
        raise ValueError("it must be a list")  # noqa: TRY004 - a file is wrong, not a caller
    return tuple(_group(entry, f"entry {number}") for number, entry in enumerate(document, 1))


def _group(entry: Any, where: str) -> Group:
    if not isinstance(entry, dict) or set(entry) - {"targets", "labels"}:
        raise ValueError(f"{where} must have `targets` and `labels` alone")
    targets, labels = entry.get("targets") or [], entry.get("labels") or {}
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        raise ValueError(f"{where}: `targets` must be a list of texts")
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise ValueError(f"{where}: `labels` must be texts by name")
    odd = next((name for name in labels if not _LABEL.fullmatch(name)), None)
    if odd is not None:
        raise ValueError(f"{where}: {odd!r} is not the name of a label")
    try:
        json.dumps(entry, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where} has half of a character (\\ud800 to \\udfff)") from None
    return Group(tuple(targets), labels)


class Bounded(Generic[T]):
    """Work on storage that may hang: a caller waits PATIENCE at most, and while one hangs no second one is begun."""

    def __init__(self, subject: Path, work: Callable[[], T]) -> None:
        self._subject, self._work = subject, work
        self._lock = threading.Lock()
        self._running: Optional[_Attempt[T]] = None

    def __call__(self) -> T:
        """What the work gives, or raises; StorageHangs when it takes too long."""
        with self._lock:
            if self._running is None or self._running.done.is_set():
                self._running = _Attempt(self._work)
            attempt = self._running
        if not attempt.done.wait(PATIENCE):
            cause = f"did not answer within {PATIENCE:g} s"
            raise StorageHangs(str(self._subject), cause, "Is the server of the shared storage up?")
        return attempt.result()


class _Attempt(Generic[T]):
    """One run of some work in a thread, which does not keep the process from ending."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.done = threading.Event()
        self._outcome: list[T] = []
        self._error: Optional[BaseException] = None
        threading.Thread(target=self._run, args=(work,), name="targets-directory", daemon=True).start()

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self._outcome.append(work())
        except BaseException as error:  # it is the caller's
            self._error = error
        finally:
            self.done.set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._outcome[0]


def within(subject: Path, work: Callable[[], T]) -> T:
    """What the work gives; StorageHangs when that takes longer than PATIENCE."""
    return Bounded(subject, work)()


def addresses(files: Iterable[TargetFile]) -> Iterator[tuple[TargetFile, str, Mapping[str, str]]]:
    """Every target of some files with its labels."""
    for file in files:
        for group in file.groups:
            for target in group.targets:
                yield file, target, group.labels
