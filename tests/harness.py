"""What the tests over a simulated cluster share: the command run in this process, killed runs, and snapshots."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import pytest

from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.cli.main import main
from bcm_jobstats.simulator import Simulator

BINARIES = ("usr/local/bin/node_exporter", "usr/local/bin/cgroup_exporter", "usr/local/bin/nvidia_gpu_exporter",
            "usr/bin/dcgm-exporter")  # fmt: skip
Snapshot = dict[str, tuple[object, ...]]


@dataclass(frozen=True)
class Outcome:
    """One run of the command."""

    status: int
    out: str
    err: str


def run(root: Path, *words: str) -> Outcome:
    """`bcm-jobstats --root ROOT WORDS`, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(["--root", str(root), *words])
        except SystemExit as exit_:
            status = int(exit_.code or 0)
    return Outcome(status, out.getvalue(), err.getvalue())


def killed_after(writes: int, root: Path, *words: str, files: bool = True) -> bool:
    """Run the command in a child that is killed with SIGKILL right after its n-th write; False: it ended before that.

    A write is a cmsh that commits, and with `files` any change of a file or directory too.
    """
    return _in_child(root, words, files=files, writes=writes)[0]


def writes_of(root: Path, *words: str, files: bool = True) -> int:
    """Run the command in a child to its end; how many writes it made, as `killed_after` counts them."""
    return _in_child(root, words, files=files)[1]


def _in_child(root: Path, words: Sequence[str], *, files: bool, writes: int = 0) -> tuple[bool, int]:
    """Whether the command was killed, and the writes of one that was not."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        status = 1
        try:
            left = _count_down(writes, files=files)
            status = main(["--root", str(root), *words])
            os.write(writer, str(writes - left[0]).encode())
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, encoding="ascii") as told:
        made = told.read()
    _, result = os.waitpid(child, 0)
    if os.WIFSIGNALED(result):
        assert os.WTERMSIG(result) == signal.SIGKILL
        return True, 0
    assert os.WEXITSTATUS(result) == 0, "the command failed before it was killed"
    return False, int(made)


def _count_down(writes: int, *, files: bool) -> list[int]:
    """Begin to count; what is left of the writes. Of none at first, nothing is killed."""
    left = [writes]

    def always(*args: Any, **kwargs: Any) -> bool:
        return True

    def commits(cmsh: Path, script: list[str], timeout: float, **options: Any) -> bool:
        return any(command.startswith("commit") or "imageupdate" in command or "grab" in command for command in script)

    def counted(function: Callable[..., Any], counts: Callable[..., bool] = always) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            if counts(*args, **kwargs):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapper

    for name in ("replace", "rename", "mkdir", "unlink", "rmdir", "touch", "chmod") if files else ():
        setattr(Path, name, counted(getattr(Path, name)))
    process.run = counted(process.run, commits)
    return left


def snapshot(root: Path) -> Snapshot:
    """Everything under `root` that belongs to the cluster: BCM's objects, shared storage, images and nodes.

    Left out are the journal of our own runs, the site file, and what running nodes write for themselves (/var, /run).
    """
    found: Snapshot = {"objects": ((root / "cmd/state.json").read_bytes(),)}
    for top in ("cm/images", "cm/shared", "nodes", "root/.cm", "heads"):
        for path in sorted((root / top).rglob("*")) if (root / top).is_dir() else ():
            name = path.relative_to(root)
            if name.parts[0] in {"nodes", "heads"} and len(name.parts) > 2 and name.parts[2] in {"var", "run"}:
                continue
            found[str(name)] = _entry(path)
    return found


def _entry(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if path.is_symlink():
        return ("link", str(path.readlink()))
    if path.is_dir():
        return ("directory", mode, status.st_uid, status.st_gid)
    return ("file", mode, status.st_uid, status.st_gid, path.read_bytes())


@contextlib.contextmanager
def cluster(directory: Path, **settings: Any) -> Iterator[Simulator]:
    """A simulated cluster for the length of the block; images of paper nodes get empty exporters."""
    simulator = Simulator.start(directory, **{"node_kind": "paper", **settings})
    try:
        if settings.get("node_kind", "paper") == "paper":
            for image in ("dgx-image", "login-image"):
                for name in BINARIES:
                    file = directory / "cm/images" / image / name
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.touch()
        yield simulator
    finally:
        simulator.stop()


def cmsh(simulator: Simulator, script: str) -> str:
    """What an administrator does by hand; fails the test when cmsh complains."""
    answer = process.run(simulator.cmsh, [script], 30.0)
    complaints = [line for line in answer.text.splitlines() if line.strip() and not line.startswith("Successfully ")]
    assert not complaints, answer.text
    return answer.text


def until(reached: Callable[[], Any], seconds: float = 20.0, what: Optional[str] = None) -> Any:
    """Wait for something that happens in another process; the bound is for a broken test only.

    The longer it takes, the seldomer one looks: to look may start processes, which take time from the one waited for.
    """
    start = time.monotonic()
    while (waited := time.monotonic() - start) < seconds:
        result = reached()
        if result:
            return result
        time.sleep(min(0.02 + waited / 10, 0.25))
    return pytest.fail(f"not within {seconds:g} s: {what or reached}")
