"""Hypothesis: any environment, any text in logs, any order of hooks and looks of the sweeper."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.hooks.node import HOOKS, MAPS, Node, environment, on_tmpfs

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="hooks run as root: their directories are root's")
FUZZED = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

# What the kernel takes as a value: no NUL; and what bash makes something of is more likely.
ODD = st.sampled_from(["0", "1", "7", ",", "GPU-", "MIG-", "a", "-", ".", "/", "..", "*", "?", "[0-9]", "$(touch x)",
                       "`x`", "\n", " ", "\t", "\\", "'", '"', "!", "~", "{1..9}", "NoDevFiles", "@(", ")", "%s",
                       "\x1b", "é", "\udcff", "9" * 30])  # fmt: skip
VALUES = st.one_of(
    st.lists(ODD, max_size=12).map("".join),
    st.binary(max_size=60).map(lambda raw: os.fsdecode(raw.replace(b"\0", b""))),
    st.lists(st.integers(0, 8), max_size=9).map(lambda row: ",".join(map(str, row))),
)
NAMES = st.sampled_from(
    ["SLURM_JOB_ID", "SLURM_JOB_UID", "SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES", "SLURM_JOBID", "IFS", "PATH", "PWD",
     "SLURM_JOB_COMMENT", "keys", "holders", "job", "BASH_ENV", "LC_ALL", "HOME"]
)  # fmt: skip


def unless_locale(env: Mapping[str, str]) -> dict[str, str]:
    """bash itself, before its script, says on stderr that it does not know a locale."""
    return {name: value for name, value in env.items() if name != "LC_ALL"} | {"LC_ALL": "C"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node on which jobs 4100007 and 4100008 run on GPUs 0 and 3, and what it was like then in `kept`."""
    with on_tmpfs(tmp_path_factory.mktemp("hooks")) as directory:
        node = Node(directory / "node")
        node.prolog(4100007, "0")
        node.prolog(4100008, "3")
        node.starts(4100007)
        node.starts(4100008)
        shutil.copytree(node.run, node.directory / "kept")
        yield node


def anew(node: Node) -> None:
    shutil.rmtree(node.run)
    shutil.copytree(node.directory / "kept", node.run)


def names(node: Node) -> set[Path]:
    return {path for path in node.directory.rglob("*") if not {node.run, *MAPS_OF(node)} & set(path.parents)}


def MAPS_OF(node: Node) -> set[Path]:  # noqa: N802
    return {node.home / name for name in (*MAPS, "runs")}


@FUZZED
@given(env=st.dictionaries(NAMES, VALUES, max_size=8), hook=st.sampled_from(HOOKS))
def test_any_environment(prepared: Node, env: dict[str, str], hook: str) -> None:
    """The hook ends well, makes only files of GPUs, and the other jobs stay."""
    anew(prepared)
    before = names(prepared)
    prepared.ends_well(prepared.hook(hook, env={**environment(hook, 9, "1"), **unless_locale(env)}))
    assert names(prepared) == before
    for map_, others in (("gpustat", ("4100007 1000", "4100008 1000")), ("dcgm-job-map", ("4100007", "4100008"))):
        shown = prepared.shows(map_)
        assert all(word.isdigit() for lines in shown.values() for line in lines for word in line.split(" "))
        if map_ == "dcgm-job-map" or not {"0", "3"} & {key for key, lines in shown.items() if lines[-1] not in others}:
            assert (shown["0"][0], shown["3"][0]) == others


LINES = st.one_of(
    st.tuples(st.integers(1, 12), st.integers(0, 3)).map(lambda row: f"{row[0]} {row[1]}\n"),
    st.integers(1, 12).map(lambda job: f"-{job}\n"),
    st.sampled_from(
        ["\n", "x\n", "1 2 3\n", "-\n", "--4\n", " 5 1\n", "6  1\n", "\u00e9\n", "* *\n", "$(touch x) 1\n", "7 1"]
    ),
)


def jobs_of(log: str) -> list[str]:
    """The jobs that a log says to hold its GPU, the last one last: by its rule, written again."""
    held: list[str] = []
    for line in log.split("\n"):
        words = line.split(" ")
        job = words[0].removeprefix("-") if hasattr(str, "removeprefix") else words[0].lstrip("-")
        if len(words) > 2 or not all(word.isascii() and word.isdigit() for word in (job, *words[1:])):
            continue
        held = [one for one in held if one != job] + ([] if line.startswith("-") else [job])
    return held


@FUZZED
@given(log=st.lists(LINES, max_size=12).map("".join))
def test_any_log(prepared: Node, log: str) -> None:
    """Jobs that a log holds are published, with a new one behind them; lines that say nothing are passed over."""
    anew(prepared)
    prepared.write("bcm-jobstats/dcgm-job-map/1", log)
    before = jobs_of(log)
    prepared.ends_well(prepared.hook("prolog-dcgm", 77, "1"))
    assert prepared.shows("dcgm-job-map")["1"] == [*before, "77"]
    prepared.ends_well(prepared.hook("prolog-dcgm", 78, "1"))
    assert prepared.shows("dcgm-job-map")["1"] == [*before, "77", "78"]
    for job in (*before, 78, 77):
        prepared.ends_well(prepared.hook("epilog-dcgm", job))
    assert prepared.public("dcgm-job-map")["1"] == ""


JOBS = st.sampled_from([4100001, 4100002, 4100010, 4100011, 410])
SETS = st.sets(st.integers(0, 3), min_size=1, max_size=4).map(sorted)
UIDS = {4100001: 1000, 4100002: 1001, 4100010: 1002, 4100011: 0, 410: 1004}


class Sequences(RuleBasedStateMachine):
    """Jobs start, end, come again, lose their epilog; the sweeper looks. The model: who holds each GPU, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        elsewhere = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.directory = self.stack.enter_context(on_tmpfs(elsewhere))
        self.held: dict[int, list[int]] = {gpu: [] for gpu in range(4)}
        self.used: set[int] = set()
        self.running: set[int] = set()
        self.missed: set[int] = set()  # not found at the last look, and long ago
        self.swept: dict[int, set[int]] = {}

    @initialize(release=st.sampled_from(["empty", "unlink"]), mode=st.sampled_from(["label", "info", "both"]))
    def begin(self, release: str, mode: str) -> None:
        self.node, self.mode, self.release = Node(self.directory / "node", mode, release), mode, release

    @rule(job=JOBS, gpus=SETS, runs=st.booleans())
    def prolog(self, job: int, gpus: list[int], *, runs: bool) -> None:
        """The job starts on these GPUs, perhaps not for the first time; then it has a step, or none yet."""
        self.node.prolog(job, ",".join(map(str, gpus)), uid=UIDS[job])
        for gpu, jobs in self.held.items():
            if gpu not in gpus and job in jobs:
                jobs.remove(job)
            if gpu in gpus and job not in jobs:
                jobs.append(job)
        self.used |= set(gpus)
        self.swept.pop(job, None)
        if runs:
            self.step(job)

    @rule(job=JOBS)
    def step(self, job: int) -> None:
        self.node.starts(job)
        self.running.add(job)

    @rule(job=JOBS)
    def dies(self, job: int) -> None:
        """Its processes end, its epilog does not run."""
        self.node.ends(job)
        self.running.discard(job)

    @rule(job=JOBS, gpus=st.one_of(st.none(), SETS))
    def epilog(self, job: int, gpus: Optional[list[int]]) -> None:
        """With its GPUs in the environment, others', or none."""
        self.node.epilog(job, ",".join(map(str, gpus)) if gpus else None)
        for jobs in self.held.values():
            if job in jobs:
                jobs.remove(job)
        self.swept.pop(job, None)
        self.dies(job)

    @rule(long=st.booleans())
    def sweep(self, *, long: bool) -> None:
        if long:
            self.node.later()
        self.node.sweep()
        found = {job for jobs in self.held.values() for job in jobs} - self.running
        for job in self.running & set(self.swept):
            for gpu in sorted(self.swept.pop(job)):
                if job not in self.held[gpu]:
                    self.held[gpu].append(job)
        for job in found & self.missed if long else set():
            self.swept.setdefault(job, set()).update(gpu for gpu, jobs in self.held.items() if job in jobs)
            for jobs in self.held.values():
                if job in jobs:
                    jobs.remove(job)
            found.discard(job)
        # What was noted before this look has its time behind it at the next long one.
        self.missed = found

    @invariant()
    def the_maps_hold_what_runs(self) -> None:
        if not hasattr(self, "node"):
            return
        last = {str(gpu): [f"{jobs[-1]} {UIDS[jobs[-1]]}"] for gpu, jobs in self.held.items() if jobs}
        assert self.node.shows("gpustat") == last
        assert set(self.node.public("gpustat")) == set(map(str, self.used))
        labels = {str(gpu): list(map(str, jobs)) for gpu, jobs in self.held.items() if jobs}
        assert self.node.shows("dcgm-job-map") == (labels if self.mode != "info" else {})
        if self.mode != "info":
            there = set(labels) if self.release == "unlink" else set(map(str, self.used))
            assert set(self.node.public("dcgm-job-map")) == there
        rows = {
            f'slurm_job_gpu_info{{jobid="{job}",userid="{UIDS[job]}",gpu="{gpu}"}} 1'
            for gpu, jobs in self.held.items()
            for job in jobs
        }
        assert set(self.node.info()) == (rows if self.mode != "label" else set())
        assert self.node.failures() == {}

    def teardown(self) -> None:
        self.stack.close()


TestSequences = Sequences.TestCase
TestSequences.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
