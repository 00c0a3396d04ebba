"""The cached base trees of the lab: per Debian release a node's tree, and the layer that makes a head node of it.

``python -m bcm_jobstats.simulator.lab.bases RELEASE…`` makes what is missing and prints one line per release: its
name, the node's tree and the head's layer. A tree that is there was finished: it is made beside its place and renamed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from bcm_jobstats.simulator.cluster import RELEASES
from bcm_jobstats.simulator.lab import recipes

CACHE_VARIABLE = "BCM_JOBSTATS_LAB_CACHE"
_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
_PATH = f"{os.defpath}:/usr/local/sbin:/usr/sbin:/sbin"
_REMEDIES = (
    ("No space left on device", f"make room there, or name another directory in ${CACHE_VARIABLE}"),
    ("Temporary failure resolving", "the first time the lab needs Debian's package archive: check the network"),
    ("Could not connect", "the first time the lab needs Debian's package archive: check the network and $http_proxy"),
    ("NO_PUBKEY", "install a debian-archive-keyring that knows the release"),
)


class BaseError(Exception):
    """A base tree cannot be made: which one, why, and what helps."""


@dataclass(frozen=True)
class Bases:
    """The finished trees of a release, both read-only: overlays lie above them."""

    release: str
    node: Path
    """A whole tree: the software image of compute and login nodes."""
    head: Path
    """An overlay layer (``lowerdir=head:node``): what a head node has beyond a node."""


def cache() -> Path:
    """Where the lab keeps what took long to make."""
    return Path(os.environ.get(CACHE_VARIABLE) or "/var/cache/bcm-jobstats-lab")


def missing_programs() -> list[str]:
    """What the lab needs on this machine and does not find: the program and its Debian package."""
    return [
        f"{program} (package {package})"
        for program, package in _PROGRAMS.items()
        if not shutil.which(program, path=_path())
    ]


def ready(release: str) -> Optional[Bases]:
    """The trees of a release if they are there and made by today's recipe."""
    tree = _place(release)
    return Bases(release, tree / "node", tree / "head") if tree.is_dir() else None


def build(release: str, tell: Callable[[str], None]) -> Bases:
    """The trees of a release, made now if they are missing; `tell` gets a line per step.

    The thread that calls this must wait for it: the work ends with the thread, also when that is killed.
    """
    found = ready(release)
    if found:
        return found
    _check(release)
    try:
        with _lock(release, tell) as lock:
            return ready(release) or _make(release, lock, tell)
    except OSError as error:
        raise BaseError(f"{_subject(release)}: {error}. Another directory can be named in ${CACHE_VARIABLE}.") from None


def _make(release: str, lock: int, tell: Callable[[str], None]) -> Bases:
    place = _place(release)
    part = place.with_name(f"{release}.part")
    _remove(part)  # of a build that was killed
    part.mkdir()
    try:
        _cook(release, part, lock, tell)
        part.rename(place)
    except BaseException:
        _remove(part)
        raise
    _remove_older(release, part)
    return Bases(release, place / "node", place / "head")


def _subject(release: str) -> str:
    return f"The lab's base tree for {release} cannot be made in {cache()}"


def _place(release: str) -> Path:
    digest = hashlib.sha256(recipes.script(release).encode()).hexdigest()[:12]
    return cache() / "bases" / f"{release}-{digest}"


def _check(release: str) -> None:
    if release not in RELEASES:
        raise BaseError(
            f"{_subject(release)}: there is no recipe for this release. Choose one of {', '.join(RELEASES)}."
        )
    if os.geteuid() != 0:
        raise BaseError(f"{_subject(release)}: that needs root. Run it with sudo.")
    missing = missing_programs()
    if missing:
        raise BaseError(f"{_subject(release)}: missing {', '.join(missing)}. Install the packages with apt-get.")


@contextlib.contextmanager
def _lock(release: str, tell: Callable[[str], None]) -> Iterator[int]:
    """One at a time per release. The build's processes inherit the lock: it is free when the last of them has ended."""
    directory = _place(release).parent
    directory.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory / f"{release}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"{release}: another process makes it; waiting for that")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


# In namespaces of their own, so that a killed build leaves neither a mount nor a process: the kernel kills unshare with
# this process (setpriv; the test of the parent is for a death before that), and all in the namespace with unshare.
_ISOLATED = (
    'test "$PPID" -eq "$1" || exit 1; shift; '
    'exec unshare --mount --pid --mount-proc --fork --kill-child /bin/sh -c "$@"'
)  # fmt: skip


def _cook(release: str, part: Path, lock: int, tell: Callable[[str], None]) -> None:
    isolated = ["setpriv", "--pdeathsig", "KILL", "/bin/sh", "-c", _ISOLATED, "lab-base", str(os.getpid())]
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    process = subprocess.Popen(
        [*isolated, recipes.script(release), f"lab-base-{release}", str(part)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={"PATH": _path(), "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **proxies},
        pass_fds=[lock],
        start_new_session=True,
    )
    last: deque[str] = deque(maxlen=12)
    step = "start"
    assert process.stdout  # noqa: S101 - a pipe, see above
    try:
        for line in process.stdout:
            if line.startswith(recipes.STEP):
                step = line[len(recipes.STEP) :].strip()
                tell(f"{release}: {step}")
            elif line.strip():
                last.append(line.rstrip())
        process.wait()
    except BaseException:
        process.kill()
        process.stdout.read()  # until the last process of the namespace has gone
        process.wait()
        raise
    finally:
        process.stdout.close()
    if process.returncode:
        raise BaseError(_failure(release, step, list(last)))


def _failure(release: str, step: str, last: list[str]) -> str:
    remedies = [remedy for sign, remedy in _REMEDIES if any(sign in line for line in last)]
    lines = [f"{_subject(release)}: step '{step}' failed."]
    lines += [f"    {line}" for line in last]
    lines += [f"Remedy: {remedies[0]}."] if remedies else []
    return "\n".join(lines)


def _remove_older(release: str, part: Path) -> None:
    """Remove the trees of earlier recipes, but for those that a running lab lies on."""
    for older in part.parent.glob(f"{release}-*"):
        if older != _place(release) and not _in_use(older):
            older.rename(part)  # half removed it must not look finished
            _remove(part)


def _in_use(tree: Path) -> bool:
    for table in Path("/proc").glob("[0-9]*/mountinfo"):
        with contextlib.suppress(OSError):
            if str(tree) in table.read_text(errors="replace"):
                return True
    return False


def _remove(tree: Path) -> None:
    subprocess.run(["rm", "-rf", "--one-file-system", "--", str(tree)], check=True)


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:{_PATH}"


def main(words: list[str]) -> int:
    """Make the named releases; what is done goes to stderr, the result to stdout."""
    for release in words:
        try:
            bases = build(release, lambda line: print(line, file=sys.stderr, flush=True))
        except BaseError as error:
            print(error, file=sys.stderr)
            return 1
        print(bases.release, bases.node, bases.head, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
