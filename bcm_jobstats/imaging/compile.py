"""A program built from a source directory of the site's, in a private copy: never in an image, never on a node."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import elf
from bcm_jobstats.imaging.store import Store, digest
from bcm_jobstats.plan.lock import locked

_LINES_SHOWN = 12
_PATH = f"{os.defpath}:/usr/local/bin:/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin"


class BuildFailed(JobstatsError):
    """The build command of a site failed, or made nothing."""


def built(source: Path, command: str, result: str, store: Store, subject: str) -> str:
    """The sha256 of the file `result` that `command` makes of the directory `source`; it is in the store.

    Once built, the same source and command give the same bytes without a second build. Raises BuildFailed.
    """
    if not source.is_dir():
        raise BuildFailed(subject, f"there is no source directory {source}", "Set `source` to the right one.")
    store.prepare()  # for nobody else to write to, before anything that it tells is believed
    parts = "\0".join((tree_digest(source), command, result))
    key = f"source {hashlib.sha256(parts.encode()).hexdigest()}"
    sha256 = store.made(key)
    if sha256 is None:
        with _private_copy(source, store.folder) as copy:
            _make(command, copy, subject)
            found = elf.inside(copy, f"/{result}")
            if found is None:
                raise BuildFailed(subject, f"`{command}` made no file {result}", "Set `result` to what it makes.")
            sha256 = store.put_file(found)
        store.learn(key, sha256)
    return sha256


def tree_digest(root: Path) -> str:
    """One sum over names, types, modes' x-bits and contents of a source tree; version control's own files are left
    out, for they change when somebody looks."""
    told = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if ".git" in path.relative_to(root).parts:
            continue
        if path.is_symlink():
            content = f"link {path.readlink()}"
        elif path.is_file():
            content = f"{'program' if path.stat().st_mode & stat.S_IXUSR else 'file'} {digest(path)}"
        else:
            content = "directory"
        told.update(f"{name}\0{content}\0".encode("utf-8", "surrogateescape"))
    return told.hexdigest()


@contextmanager
def _private_copy(source: Path, folder: Path) -> Iterator[Path]:
    place = folder / "build"
    with locked(folder / "build.lock"):
        _erase(place)  # of a build that was killed
        try:
            shutil.copytree(source, place / "source", symlinks=True)
            (place / "home").mkdir()
            yield place / "source"
        finally:
            _erase(place)


def _make(command: str, copy: Path, subject: str) -> None:
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    environment = {
        "PATH": f"{os.environ.get('PATH', '')}:{_PATH}",
        "HOME": str(copy.parent / "home"),
        "LANG": "C.UTF-8",
        "SOURCE_DATE_EPOCH": "0",
        **proxies,
    }
    log = copy.parent / "log"
    # A file and no pipe: a process that the build leaves behind would hold a pipe open for ever.
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=copy,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        last = "".join(f"\n    {line}" for line in lines[-_LINES_SHOWN:])
        cause = f"`{command}` ended with status {process.returncode}{last}"
        raise BuildFailed(subject, cause, "Cure it, or give the program as `archive` or `file`.")


def _erase(place: Path) -> None:
    """Remove a tree, also one with directories that may not be written to: Go makes such."""
    for path, _, _ in os.walk(place):
        Path(path).chmod(0o700)
    shutil.rmtree(place, ignore_errors=True)
