"""Whatever is wrong with directories, disk, lock, log socket and programs: a hook ends well, soon, and hurts nobody."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.hooks.inside import Inside, inside
from tests.hooks.node import HOOKS, MAPS, Ended, Node

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts, owners and namespaces need root")

MOST = 1.0
"""Seconds that a hook may take, whatever happens (issue: fault matrix)."""
PLACES = ("", "gpustat", "dcgm-job-map", "bcm-jobstats", "bcm-jobstats/gpustat", "bcm-jobstats/dcgm-job-map",
          "bcm-jobstats/dcgm-job-map/.new", "bcm-jobstats/runs", "bcm-jobstats/swept", "bcm-jobstats/textfile",
          "bcm-jobstats/gpus", "gpustat/0", "dcgm-job-map/0", "bcm-jobstats/gpustat/0",
          "bcm-jobstats/dcgm-job-map/0", "bcm-jobstats/runs/prolog-dcgm", "bcm-jobstats/runs/epilog-jobstats",
          "bcm-jobstats/swept/9")  # fmt: skip
NOBODY = 65534


def in_time(run: Callable[[], Ended]) -> Ended:
    """The hook ended well and in time; a machine that is busy with other things gets more of it, and two more tries."""
    for _ in range(3):
        ended = run()
        assert (ended.status, ended.out, ended.err) == (0, "", "")
        allowed = MOST * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        if ended.seconds <= allowed:
            return ended
    raise AssertionError(f"a hook took {ended.seconds:.2f} s, three times more than {allowed:.2f} s")


def all_hooks(node: Node, job: int = 9, gpus: str = "0,1", **more: Any) -> None:
    """Both prologs and both epilogs of a job, each within its time."""
    for name in HOOKS:
        in_time(lambda name=name: node.hook(name, job, gpus, **more))  # type: ignore[misc]
    in_time(lambda: node.hook("gpu-sweep", env={}, **{key: more[key] for key in ("inside",) if key in more}))


@pytest.fixture
def busy(node: Node) -> Node:
    """A node on which job 8 runs on GPU 3, and job 7 on GPU 0."""
    node.starts(7)
    node.starts(8)
    node.prolog(7, "0")
    node.prolog(8, "3")
    node.write("bcm-jobstats/swept/9", "gpustat 5 1000\n")
    (node.directory / "outside").mkdir()
    (node.directory / "outside/file").write_text("precious\n")
    return node


def outside(node: Node) -> list[tuple[str, bytes]]:
    """All but what lies in run/ itself."""
    directory = node.directory / "outside"
    return sorted((str(path), path.read_bytes() if path.is_file() else b"") for path in directory.rglob("*"))


def missing(path: Path, _: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def file_in_its_place(path: Path, _: Path) -> None:
    missing(path, path)
    path.write_text("not a directory\n")


def directory_in_its_place(path: Path, _: Path) -> None:
    missing(path, path)
    (path / "full").mkdir(parents=True)


def link_to_a_directory(path: Path, elsewhere: Path) -> None:
    missing(path, path)
    path.symlink_to(elsewhere)


def link_to_a_file(path: Path, elsewhere: Path) -> None:
    missing(path, path)
    path.symlink_to(elsewhere / "file")


def link_to_nothing(path: Path, elsewhere: Path) -> None:
    missing(path, path)
    path.symlink_to(elsewhere / "new")


def wrong_owner(path: Path, _: Path) -> None:
    if path.exists():
        os.chown(path, NOBODY, NOBODY)


def wrong_owner_with_links(path: Path, elsewhere: Path) -> None:
    """Whoever owns a directory can make links of what lies in it."""
    if path.is_dir():
        os.chown(path, NOBODY, NOBODY)
        for name in ("0", "1", "9", "runs", ".new", "swept", "textfile", "missed", "hooks.prom", "jobs.prom", *HOOKS):
            target = elsewhere if name in {"runs", ".new", "swept", "textfile"} else elsewhere / "file"
            missing(path / name, path)
            (path / name).symlink_to(target)


def pipe_in_its_place(path: Path, _: Path) -> None:
    missing(path, path)
    os.mkfifo(path)


def no_rights(path: Path, _: Path) -> None:
    if path.exists():
        path.chmod(0)


FAULTS = (missing, file_in_its_place, directory_in_its_place, link_to_a_directory, link_to_a_file, link_to_nothing,
          wrong_owner, wrong_owner_with_links, no_rights, pipe_in_its_place)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.__name__ for fault in FAULTS])
def test_a_damaged_place_hurts_nobody(fault: Callable[[Path, Path], None], busy: Node) -> None:
    """At every place, with every fault: hooks end well, nothing outside changes, and job 8 is where it was."""
    kept = busy.directory / "kept"
    shutil.copytree(busy.run, kept, symlinks=True)
    problems = []
    for place in PLACES[1:]:
        shutil.rmtree(busy.run)
        shutil.copytree(kept, busy.run, symlinks=True)
        before = outside(busy)
        path = busy.run / place
        path.parent.mkdir(parents=True, exist_ok=True)
        fault(path, busy.directory / "outside")
        try:
            all_hooks(busy)
        except subprocess.TimeoutExpired as hung:
            problems.append(f"{place}: {Path(hung.cmd[0]).name} hangs")
        if outside(busy) != before:
            problems.append(f"{place}: wrote outside of run/")
            shutil.rmtree(busy.directory / "outside")
            (busy.directory / "outside").mkdir()
            (busy.directory / "outside/file").write_text("precious\n")
        for map_ in MAPS:
            # A directory that is gone, or another one, is not the hooks' doing.
            if not place.startswith(map_) and place not in {"bcm-jobstats", f"bcm-jobstats/{map_}"}:
                shown = busy.public(map_).get("3")
                if not (shown or "").startswith("8"):
                    problems.append(f"{place}: {map_} of job 8 is {shown!r}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("fault", [link_to_a_file, link_to_nothing, pipe_in_its_place])
def test_notes_of_the_sweeper_that_are_no_files(fault: Callable[[Path, Path], None], busy: Node) -> None:
    """It writes and reads none of them, takes a job away that is over, and finds one that is there."""
    over, found = 4100001, 4100002
    busy.prolog(over, "1")
    busy.starts(found)
    busy.sweep()
    busy.later()
    before = outside(busy)
    for note in (f"swept/{over}", f"swept/{found}", "lasting", "contain", "runs/sweep", "textfile/hooks.prom.new"):
        fault(busy.home / note, busy.directory / "outside")
    busy.sweep()
    assert outside(busy) == before
    assert [busy.shows(map_).get("1") for map_ in MAPS] == [None, None]
    assert (busy.home / f"swept/{over}").read_text() == "gpustat 1 1000\ndcgm-job-map 1 1000\n"
    fault(busy.home / "missed", busy.directory / "outside")
    busy.sweep()
    assert outside(busy) == before
    busy.starts(over)
    busy.sweep()
    assert [busy.shows(map_)["1"][0].split()[0] for map_ in MAPS] == [str(over)] * 2


@pytest.mark.parametrize("place", [*MAPS, *(f"bcm-jobstats/{map_}" for map_ in MAPS)])
def test_in_a_directory_of_somebody_else_nothing_is_written(place: str, busy: Node) -> None:
    path = busy.run / place
    os.chown(path, NOBODY, NOBODY)
    before = {one: one.read_bytes() for one in path.rglob("*") if one.is_file()}
    all_hooks(busy, gpus="0,1,3")
    assert {one: one.read_bytes() for one in path.rglob("*") if one.is_file()} == before


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.__name__ for fault in FAULTS])
def test_once_a_fault_is_mended_the_hooks_work_again(fault: Callable[[Path, Path], None], busy: Node) -> None:
    """The hooks of a damaged node leave nothing that they cannot put right."""
    for place in ("gpustat", "bcm-jobstats", "bcm-jobstats/dcgm-job-map", "dcgm-job-map/0"):
        path = busy.run / place
        fault(path, busy.directory / "outside")
        busy.prolog(9, "0,1")
        missing(path, path)
        busy.prolog(10, "2")
        busy.starts(9)
        busy.starts(10)
        busy.prolog(9, "0,1")
        busy.sweep()
        for map_ in MAPS:
            shown = busy.shows(map_)
            assert [shown[key][-1].split()[0] for key in "012"] == ["9", "9", "10"], (place, map_, shown)
        busy.epilog(9)
        busy.epilog(10)


@pytest.fixture
def private(busy: Node) -> Iterator[tuple[Node, Inside]]:
    with inside() as namespace:
        yield busy, namespace


@pytest.mark.parametrize("place", ["", *MAPS, "bcm-jobstats", "bcm-jobstats/gpustat", "bcm-jobstats/dcgm-job-map"])
def test_read_only(place: str, private: tuple[Node, Inside]) -> None:
    node, namespace = private
    path = node.run / place
    namespace.do(f"mount --bind {path} {path}; mount -o remount,ro,bind {path}")
    before = {map_: node.public(map_)["3"] for map_ in MAPS}
    all_hooks(node, inside=namespace.command)
    assert {map_: node.public(map_)["3"] for map_ in MAPS} == before


@pytest.mark.parametrize("limit", ["size=256k", "nr_inodes=100"])
def test_full_disk(limit: str, private: tuple[Node, Inside]) -> None:
    """Nobody is lost on a full disk, epilogs work on it, and prologs again when there is room."""
    node, namespace = private
    namespace.do(f"mount -t tmpfs -o {limit} none {node.run}")
    run = namespace.path(node.run)
    within: dict[str, Any] = {"inside": namespace.command}
    for job in (7, 8):
        node.prolog(job, str(job - 5), **within)
    if limit.startswith("size"):
        namespace.do(f"cat /dev/zero >{node.run}/filler 2>/dev/null || :")
    else:
        (run / "filler").mkdir()
        with pytest.raises(OSError, match="No space left"):
            for number in range(200):
                (run / f"filler/{number}").touch()
    for hook in HOOKS[:2]:
        in_time(lambda hook=hook: node.hook(hook, 9, "0,1,2,3,4,5,6,7", **within))  # type: ignore[misc]
    for map_ in MAPS:
        shown = node.shows(map_, run)
        assert all(len(line.split()) == (2 if map_ == "gpustat" else 1) for lines in shown.values() for line in lines)
        assert "7" in " ".join(shown["2"]).split() or map_ == "gpustat"
        assert "8" in " ".join(shown["3"]).split() or map_ == "gpustat"
    for job in (9, 7, 8):
        for hook in HOOKS[2:]:
            in_time(lambda hook=hook, job=job: node.hook(hook, job, "0", **within))  # type: ignore[misc]
    assert [node.shows(map_, run) for map_ in MAPS] == [{}, {}]
    in_time(lambda: node.hook("gpu-sweep", env={}, **within))
    namespace.do(f"rm -r {node.run}/filler")
    node.prolog(10, "0,1,2,3,4,5,6,7", **within)
    assert node.shows("gpustat", run) == {str(gpu): ["10 1000"] for gpu in range(8)}
    assert node.shows("dcgm-job-map", run) == {str(gpu): ["10"] for gpu in range(8)}


def test_a_stopped_process_holds_the_lock(busy: Node) -> None:
    """The hook gives up in time; what it could not write the job's next hook writes."""
    before = {map_: busy.public(map_) for map_ in MAPS}
    holders = []
    for map_ in MAPS:
        command = ["/usr/bin/flock", str(busy.home / map_), "/bin/sh", "-c", "echo held; kill -STOP $PPID; read -r _"]
        holders.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    try:
        for holder in holders:
            assert holder.stdout and holder.stdout.readline() == "held\n"
        for hook in HOOKS:
            in_time(lambda hook=hook: busy.hook(hook, 9, "0,1"))  # type: ignore[misc]
        busy.sweep()
        assert {map_: busy.public(map_) for map_ in MAPS} == before
    finally:
        for holder in holders:
            holder.send_signal(signal.SIGCONT)
            holder.communicate()
    busy.prolog(9, "0,1")
    assert busy.shows("dcgm-job-map") == {"0": ["7", "9"], "1": ["9"], "3": ["8"]}
    assert busy.failures() == dict.fromkeys(HOOKS, 1)


@pytest.mark.parametrize("program", ["flock", "mv", "rm", "mkdir", "logger", "timeout", "pgrep"])
def test_a_program_is_missing(program: str, private: tuple[Node, Inside]) -> None:
    node, namespace = private
    namespace.do(f"mount --bind /dev/null $(readlink -f /usr/bin/{program})")
    before = {map_: node.public(map_)["3"] for map_ in MAPS}
    all_hooks(node, inside=namespace.command)
    assert {map_: node.public(map_)["3"] for map_ in MAPS} == before
    node.prolog(9, "0,1")
    assert node.shows("dcgm-job-map") == {"0": ["7", "9"], "1": ["9"], "3": ["8"]}
    assert node.shows("gpustat") == {"0": ["9 1000"], "1": ["9 1000"], "3": ["8 1000"]}


class LogSocket:
    """A /dev/log in a namespace, where the rest of /dev is as little as hooks need."""

    def __init__(self, directory: Path, kind: int) -> None:
        self.path = directory / "log"
        self.socket = socket.socket(socket.AF_UNIX, kind)
        self.socket.bind(str(self.path))

    def script(self) -> str:
        return (
            "mount -t tmpfs none /mnt; mkdir /mnt/dev; mknod -m 666 /mnt/dev/null c 1 3; : >/mnt/dev/log; "
            f"mkdir /mnt/dev/shm; mount --bind /dev/shm /mnt/dev/shm; mount --bind {self.path} /mnt/dev/log; "
            "mount --move /mnt/dev/shm /mnt/dev/shm 2>/dev/null || :; mount --rbind /mnt/dev /dev"
        )

    def fill(self) -> None:
        """Until nobody can send any more."""
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.setblocking(False)
        try:
            sender.connect(str(self.path))
            while True:
                sender.send(b"<14>full")
        except BlockingIOError:
            pass
        finally:
            sender.close()

    def said(self) -> list[str]:
        self.socket.setblocking(False)
        found = []
        try:
            while True:
                found.append(self.socket.recv(100_000).decode())
        except BlockingIOError:
            return found

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogSocket]:
    log = LogSocket(tmp_path, getattr(request, "param", socket.SOCK_DGRAM))
    yield log
    log.close()


def test_what_fails_is_told_in_one_short_line(busy: Node, log: LogSocket) -> None:
    with inside(log.script()) as namespace:
        for gpus in ("9" * 10_000, "x\ny\n" * 30, "%s%n\x1b[2J"):
            in_time(lambda gpus=gpus: busy.hook("prolog-dcgm", 9, gpus, inside=namespace.command))  # type: ignore[misc]
            (said,) = log.said()
            assert "bcm-jobstats: prolog-dcgm: job 9: GPU '" in said
            assert len(said) < 500
            assert said.rstrip("\n\0").isprintable()
        in_time(lambda: busy.hook("prolog-dcgm", 9, "0,1", inside=namespace.command))
        assert log.said() == []


def test_nobody_reads_the_log(busy: Node, log: LogSocket) -> None:
    log.fill()
    with inside(log.script()) as namespace:
        for hook in HOOKS:
            in_time(lambda hook=hook: busy.hook(hook, "x" * 100, "0", inside=namespace.command))  # type: ignore[misc]
        in_time(lambda: busy.hook("gpu-sweep", env={}, inside=namespace.command))
        shutil.rmtree(busy.home)
        busy.home.write_text("")
        all_hooks(busy, inside=namespace.command)


@pytest.mark.parametrize("log", [socket.SOCK_STREAM], indirect=True)
@pytest.mark.parametrize("listens", [False, True])
def test_a_log_of_streams_that_nobody_accepts(busy: Node, log: LogSocket, *, listens: bool) -> None:
    if listens:
        log.socket.listen(0)
    with inside(log.script()) as namespace:
        for hook in HOOKS * 2:
            in_time(lambda hook=hook: busy.hook(hook, "x", "0", inside=namespace.command))  # type: ignore[misc]


def test_no_log_at_all(busy: Node) -> None:
    script = "mount -t tmpfs none /mnt; mkdir /mnt/dev /mnt/dev/shm; "
    script += "mount --bind /dev/shm /mnt/dev/shm; mount --rbind /mnt/dev /dev"
    with inside(script) as namespace:  # not even /dev/null
        for hook in HOOKS:
            in_time(lambda hook=hook: busy.hook(hook, "x", "0", inside=namespace.command))  # type: ignore[misc]


def test_the_lock_is_held_and_nobody_reads_the_log(busy: Node, log: LogSocket) -> None:
    log.fill()
    holder = subprocess.Popen(
        ["/usr/bin/flock", str(busy.home / "gpustat"), "/bin/sh", "-c", "echo held; read -r _"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with inside(log.script()) as namespace:
            for hook in ("prolog-jobstats", "epilog-jobstats"):
                in_time(lambda hook=hook: busy.hook(hook, 9, "0,1", inside=namespace.command))  # type: ignore[misc]
    finally:
        holder.communicate()


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
@pytest.mark.parametrize("hook", HOOKS)
def test_standard_streams_are_closed(hook: str, closed: Sequence[int], busy: Node) -> None:
    script = "".join(f"exec {fd}>&-; " for fd in closed) + 'exec "$@"'
    ended = busy.hook(hook, 9, "0,1", inside=["/bin/sh", "-c", script, "sh"])
    assert ended.status == 0
    assert busy.failures() == {}
    assert ("1" in busy.shows("gpustat")) == (hook == "prolog-jobstats")


@pytest.mark.parametrize("limit", ["-n 8", "-n 11", "-n 12", "-u 1", "-f 0", "-v 20000", "-s 64"])
def test_limits(limit: str, busy: Node) -> None:
    """slurmd's limits are its own; at worst a hook does nothing."""
    before = {map_: busy.public(map_)["3"] for map_ in MAPS}
    for hook in HOOKS:
        ended = busy.hook(hook, 9, "0,1", inside=["/bin/bash", "-c", f'ulimit {limit}; exec "$@"', "sh"])
        assert ended.status == 0, limit
    assert {map_: busy.public(map_)["3"] for map_ in MAPS} == before
