"""`lab up` that is killed or interrupted at any moment, and what `lab down` or the next `lab up` makes of it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.simulator.lab import ground, sweep
from bcm_jobstats.simulator.lab.pod import USER, Pod
from bcm_jobstats.simulator.layout import HEAD
from tests.harness import until
from tests.lab import command, labs
from tests.lab.traces import interfaces, traces

pytestmark = [pytest.mark.lab, pytest.mark.skipif(labs.missing() is not None, reason=str(labs.missing()))]

KILLS = os.environ.get("BCM_JOBSTATS_LAB_KILLS", "")
SEEDS = range(int(KILLS)) if KILLS else (2, 4, 7, 0, 5)
"""Of so many kills as one asks for; else one after each of the first steps, between them with all kinds of victims."""
SMALL = ("--nodes", "1", "--logins", "0")
DAEMON, GUARD = "bcm_jobstats.simulator.daemon", "simulated-cluster-guard"


class Up:
    """A `lab up` that goes on in a child."""

    def __init__(self, directory: Path, *options: str, **settings: Any) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command.words(directory, "up", *options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **settings,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.lines.append(line)

    def wait_for(self, lines: int) -> None:
        """Until it has told of so many steps, or has ended."""
        until(lambda: len(self.lines) >= lines or self.process.poll() is not None, 120.0, f"{lines} lines")

    def end(self, number: int) -> int:
        """Send it a signal; its exit status."""
        self.process.send_signal(number)
        status = self.process.wait(120)
        self._reader.join()
        assert self.process.stderr
        self.process.stderr.close()
        return status


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a lab can lie; it leaves nothing on this machine."""
    before, place = interfaces(), tmp_path_factory.mktemp("killed") / "lab"
    try:
        yield place
        assert interfaces() == before
    finally:
        sweep.sweep(place)


def kill(directory: Path, words: str) -> None:
    """Kill what the lab has started with these words, if it is there."""
    for process in sweep.processes(directory):
        with suppress(OSError):
            if words in Path(f"/proc/{process}/cmdline").read_text():
                os.kill(process, signal.SIGKILL)


def killed(directory: Path, chance: random.Random) -> str:
    """Begin `lab up` and kill it some time after one of its steps, perhaps with others; what was done."""
    up = Up(directory, *SMALL)
    step, delay = chance.randint(0, 5), chance.uniform(0, 1.5)
    victims = [words for words in (DAEMON, GUARD) if chance.random() < 0.4]
    up.wait_for(step)
    with suppress(subprocess.TimeoutExpired):
        up.process.wait(delay)  # the moment is what is tried
    for words in victims:
        kill(directory, words)
    status = up.end(signal.SIGKILL)
    return f"killed {delay:.3f} s after {up.lines[-1:]}, with {victims or 'nothing'}: {status}"


def down(directory: Path, story: str) -> None:
    done = command.lab(directory, "down")
    assert done.returncode == 0, f"{story}\n{done.stderr}"
    left = traces(directory)
    assert not left, "\n".join([story, *left])


@pytest.mark.parametrize("seed", SEEDS)
def test_down_after_a_kill_leaves_nothing(directory: Path, seed: int) -> None:
    down(directory, killed(directory, random.Random(seed)))


def test_up_after_kills_makes_the_lab(directory: Path) -> None:
    """One that goes on with what two others have left."""
    chance = random.Random(0)
    story = " and ".join(killed(directory, chance) for _ in range(2))
    done = command.lab(directory, "up", *SMALL)
    assert done.returncode == 0, f"{story}\n{done.stderr}"
    pod = Pod(directory)
    assert pod.ready() == ["dgx-01"] and pod.call(HEAD, "bcm-jobstats", "drift").returncode == 0
    down(directory, story)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_takes_itself_down(directory: Path, number: int) -> None:
    up = Up(directory, *SMALL)
    up.wait_for(2)
    assert up.end(number) == 128 + number
    assert up.lines[-2:] == ["lab: taking it down again\n", "lab: interrupted\n"]
    assert traces(directory) == []


def test_interrupted_a_lab_that_was_there_keeps_its_disks(directory: Path) -> None:
    assert command.lab(directory, "up", *SMALL, "--bare").returncode == 0
    sweep.sweep(directory)
    up = Up(directory)
    up.wait_for(2)
    assert up.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert ground.kept(directory) and traces(directory) == [f"file {directory}"]
    down(directory, "interrupted")


def test_after_a_reboot_of_the_machine_it_goes_on_from_its_disks(directory: Path) -> None:
    """All processes and mounts are gone at once, the files stay: jobs are still in the accounts."""
    assert command.lab(directory, "up", *SMALL, "--bare").returncode == 0
    pod = Pod(directory)
    assert pod.run(HEAD, "srun", "hostname", user=USER) == "dgx-01\n"
    pod.run(HEAD, "sh", "-c", "echo mine > /root/mine; sync")
    job = ("sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State")
    until(lambda: pod.run(HEAD, *job) == "1|COMPLETED\n", what="the job is in the accounts")
    sweep.sweep(directory)
    assert not pod.running and traces(directory) == [f"file {directory}"]
    done = command.lab(directory, "up", "--bare", "--nodes", "3")
    assert done.returncode == 0 and "keeps what it was made of: nodes: 1" in done.stderr, done.stderr
    assert pod.run(HEAD, "cat", "/root/mine") == "mine\n" and pod.run(HEAD, *job) == "1|COMPLETED\n"
    assert pod.run(HEAD, "srun", "hostname", user=USER) == "dgx-01\n"
    down(directory, "after a reboot")


def test_a_killed_build_of_the_base_ends(directory: Path, tmp_path: Path) -> None:
    """Processes of the build, which have nothing of the lab, end with `lab up`."""
    tools, cache = tmp_path / "tools", tmp_path / "cache"
    tools.mkdir()
    (tools / "mmdebstrap").write_text("#!/bin/sh\nexec sleep 1000\n", encoding="utf-8")
    (tools / "mmdebstrap").chmod(0o755)
    path = {"PATH": f"{tools}:{os.environ['PATH']}", "BCM_JOBSTATS_LAB_CACHE": str(cache)}
    up = Up(directory, env={**os.environ, **path})
    up.wait_for(1)
    up.end(signal.SIGKILL)
    until(lambda: not [line for line in traces(cache) if not line.startswith("file ")], what="the build has ended")
    down(directory, "killed while the base was built")


@contextmanager
def dying(after: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Removing ends with the given call, as if the process were killed."""

    class Killed(BaseException):
        pass

    calls = [0]
    with monkeypatch.context() as patch:
        for module, name in ((shutil, "rmtree"), (Path, "unlink")):
            original = getattr(module, name)

            def counted(*args: Any, original: Any = original, **kwargs: Any) -> None:
                calls[0] += 1
                if calls[0] > after:
                    raise Killed
                original(*args, **kwargs)

            patch.setattr(module, name, counted)
        with suppress(Killed):
            yield


def test_down_that_is_killed_can_be_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files without mounts: what is left is still known for a lab at every moment."""
    for after in range(16):
        directory = tmp_path / f"lab{after}"
        for name in ("disks", "nodes", "bin", "etc", "home", "opt", "root", "srv", "usr", "var", "cmd"):
            (directory / name).mkdir(parents=True)
        (directory / "cmd/cluster.json").write_text('{"node_kind": "container"}', encoding="utf-8")
        (directory / "cmd/state.json").touch()
        with dying(after, monkeypatch):
            ground.clear(directory)
        ground.check(directory)
        ground.clear(directory)
        assert not directory.exists()
