"""Hooks that are killed with SIGKILL before each of their commands, one after the other, and at random moments."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tests.hooks.node import HOOKS, MAPS, Node, environment

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="hooks run as root: their directories are root's")

OTHERS = (4100007, 4100008)
JOB = 4100009
MOST_COMMANDS = 2_000


def counting(node: Node, name: str) -> Path:
    """A copy of the script that kills itself before its command number $KILLED_AT."""
    text = node.script(name).read_text().split("\n", 1)
    trap = "set -T; trap '((++commands == KILLED_AT)) && kill -KILL $BASHPID' DEBUG\n"
    return node.install(f"counting-{name}", f"{text[0]}\n{trap}{text[1]}")


@pytest.fixture
def shared(node: Node) -> Node:
    """Job 7 has GPUs 0 and 1, job 8 GPUs 1 and 2."""
    node.prolog(OTHERS[0], "0,1")
    node.prolog(OTHERS[1], "1,2")
    for job in OTHERS:
        node.starts(job)
    return node


def readable(node: Node) -> None:
    """All that exporters may find is whole, and the other jobs are there."""
    for text in node.public("gpustat").values():
        words = text.split(" ")
        assert text == "" or (len(words) == 2 and words[0].isdigit() and words[1] == "1000\n"), text
    for text in node.public("dcgm-job-map").values():
        assert text == "" or (text.endswith("\n") and all(line.isdigit() for line in text.split("\n")[:-1])), text
    dcgm = node.shows("dcgm-job-map")
    for key, others in {"0": OTHERS[:1], "1": OTHERS, "2": OTHERS[1:]}.items():
        assert [line for line in dcgm[key] if line != str(JOB)] == [str(job) for job in others]
        assert node.shows("gpustat")[key][0].split()[0] in {str(job) for job in (*others, JOB)}


def exact(node: Node, *, job_too: bool) -> None:
    dcgm = {"0": [OTHERS[0]], "1": list(OTHERS), "2": [OTHERS[1]]}
    if job_too:
        dcgm["1"].append(JOB)
        dcgm["3"] = [JOB]
    last = {key: [f"{jobs[-1]} 1000"] for key, jobs in dcgm.items()}
    assert node.shows("dcgm-job-map") == {key: [str(job) for job in jobs] for key, jobs in dcgm.items()}
    assert node.shows("gpustat") == last


@pytest.mark.parametrize(("release", "mode", "stride"), [("empty", "label", 3), ("unlink", "both", 11)])
@pytest.mark.parametrize("which", ["prolog", "epilog"])
def test_killed_before_each_command(which: str, release: str, mode: str, stride: int, tmpfs: Path) -> None:
    """Nothing half written is read, no other job is lost; the next hook of the job, or the sweeper, puts it right."""
    node = Node(tmpfs / "node", mode=mode, release=release)
    node.prolog(OTHERS[0], "0,1")
    node.prolog(OTHERS[1], "1,2")
    if which == "epilog":
        node.prolog(JOB, "1,3")
    for job in OTHERS:
        node.starts(job)
    kept = node.directory / "kept"
    shutil.copytree(node.run, kept)
    hooks = [name for name in HOOKS if name.startswith(which)]
    scripts = {name: counting(node, name) for name in hooks}
    last = dict.fromkeys(hooks, False)
    for turn, number in enumerate(range(1, MOST_COMMANDS, stride)):
        shutil.rmtree(node.run)
        shutil.copytree(kept, node.run)
        for name in hooks:
            env = {**environment(name, JOB, "1,3"), "KILLED_AT": str(number)}
            status = subprocess.run([scripts[name]], env=env, check=False, capture_output=True).returncode
            assert status in {0, -9}
            last[name] = status == 0
        readable(node)
        if turn % 3 == 0 and which == "prolog":  # the same again
            node.prolog(JOB, "1,3")
            exact(node, job_too=True)
        elif turn % 3 == 1 and which == "prolog":  # its epilog, as when Slurm found the prolog dead
            node.epilog(JOB, "1,3")
            exact(node, job_too=False)
        else:  # nothing: the job is no more
            node.sweep()
            node.later()
            node.sweep()
            exact(node, job_too=False)
        if all(last.values()):
            break
    else:
        pytest.fail("the hooks do not end")
    assert number > 50  # the hooks were killed at that many places


@pytest.mark.parametrize("first", [False, True])
def test_the_sweeper_is_killed_before_each_command(shared: Node, *, first: bool) -> None:
    """It takes the lost job away at last, however often it was killed, and brings a swept one back."""
    shared.prolog(JOB, "1,3")
    script = counting(shared, "gpu-sweep")
    if first:  # swept, and then it runs
        shared.sweep()
        shared.later()
        shared.sweep()
        exact(shared, job_too=False)
        shared.starts(JOB)
    else:
        shared.sweep()
        shared.later()
    kept = shared.directory / "kept"
    shutil.copytree(shared.run, kept)
    for number in range(1, MOST_COMMANDS, 29):
        shutil.rmtree(shared.run)
        shutil.copytree(kept, shared.run)
        env = {"KILLED_AT": str(number)}
        status = subprocess.run([script], env=env, check=False, capture_output=True).returncode
        readable(shared)
        shared.sweep()
        shared.later()
        shared.sweep()
        exact(shared, job_too=first)
        if status == 0:
            break
    else:
        pytest.fail("the sweeper does not end")
    assert number > 50


def test_killed_at_random_moments(shared: Node) -> None:
    """As above, also within a command: between the opening of a file and its writing, and while mv runs."""
    row = random.Random(20)
    killed = 0
    for _ in range(150):
        for name in HOOKS:
            command, env = [str(shared.script(name))], environment(name, JOB, "1,3")
            child = subprocess.Popen(command, env=env)
            alarm = threading.Timer(row.uniform(0, 0.012), child.kill)
            alarm.start()
            killed += child.wait() == -9
            alarm.cancel()
            readable(shared)
    assert killed > 0
    shared.epilog(JOB)
    shared.sweep()  # an epilog killed between its log and the public file is put right by the sweeper alone
    exact(shared, job_too=False)
    shared.prolog(JOB, "1,3")
    exact(shared, job_too=True)
    shared.sweep()
    exact(shared, job_too=True)
    assert set(MAPS) == {path.name for path in shared.run.iterdir()} - {"bcm-jobstats"}
