"""The GPU hooks on real Slurm: what exporters show is what jobs hold, always, and no job is ever hurt."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bcm_jobstats.simulator.lab.pod import USER
from bcm_jobstats.simulator.layout import HEAD
from tests.harness import until
from tests.lab.hookjobs import load, recorder
from tests.lab.hookjobs.check import DCGM, NVML, check
from tests.lab.hookjobs.torrent import Torrent, scrapes, scraping
from tests.lab.hookjobs.truth import most_at_once
from tests.lab.labs import NODES, Lab

pytestmark = pytest.mark.lab

FIRST, SECOND = NODES
SITE = "roles:\n  jobstats: {attach: {with_role: slurmclient}}\n  dcgm-exporter: {attach: {with_role: slurmclient}}\n"
PUBLIC = ("/run/gpustat", "/run/dcgm-job-map")
LOGS = ("/run/bcm-jobstats/gpustat", "/run/bcm-jobstats/dcgm-job-map")
ALICE = 2001
"""The user's number."""
METRICS = ("runs_total", "failures_total", "seconds_total", "last_seconds")
HOOKS = ("prolog-jobstats", "epilog-jobstats", "prolog-dcgm", "epilog-dcgm")


@pytest.fixture(scope="module")
def pod(lab: Lab) -> Lab:
    """The lab with the product's hooks, and the recorder beside them."""
    recorder.install(lab)
    lab.site(SITE)
    lab.apply()
    until(lambda: all(lab.answers(node, port) for node in NODES for port in (DCGM, NVML)), what="exporters answer")
    until(lambda: all(lab.slurm(node) == "idle" for node in NODES), 60.0, "Slurm has all nodes")
    return lab


@pytest.fixture(autouse=True)
def alone(pod: Lab) -> Iterator[None]:
    """No job of a test that failed is there in the next one."""
    yield
    if pod.tried(HEAD, "squeue", "--noheader").stdout.strip():
        pod.tried(HEAD, "scancel", f"--user={USER}")
        until(lambda: not pod.tried(HEAD, "squeue", "--noheader").stdout.strip(), 60.0, "no job is left")


def maps(pod: Lab, node: str, directories: tuple[str, ...] = PUBLIC) -> dict[str, str]:
    """The files of the maps that are not empty, and what they say."""
    found = pod.on(node, "sh", "-c", f"cd /; grep -rs '' {' '.join(directories)} || :")
    lines = [line.partition(":") for line in found.splitlines()]
    return {name: text for name, _, text in lines}


def counted(pod: Lab, node: str) -> dict[str, tuple[int, ...]]:
    """By hook: runs, failures, microseconds in all, microseconds of the last run."""
    lines = pod.on(node, "sh", "-c", "cd /run/bcm-jobstats/runs; grep -r '' . || :").splitlines()
    named = (line.removeprefix("./").partition(":") for line in lines)
    return {name: tuple(map(int, numbers.split())) for name, _, numbers in named}


def test_200_jobs_at_full_rate(pod: Lab, tmp_path: Path) -> None:
    """No scrape misses a job after its prologs and before its epilogs, none shows it before those or after these."""
    file = tmp_path / "scrapes"
    torrent = Torrent(pod)
    with scraping(pod, file):
        torrent.run()
    found = torrent.holds()
    looked = check(scrapes(file), found, torrent.outages)
    hooks = {node: counted(pod, node) for node in NODES}
    print(f"{pod.release}: {looked}; outages {torrent.outages}; hooks {hooks}")  # shown when it fails, or with -rP

    assert not looked.wrong, f"{len(looked.wrong)} of {looked.scrapes} scrapes: {looked.wrong[:10]}"
    assert not torrent.drained
    for node in NODES:
        assert maps(pod, node, (*PUBLIC, *LOGS)) == {}
        assert all(hooks[node][hook][1] == 0 for hook in HOOKS), "a hook failed"
        assert hooks[node]["sweep"] == (0, 0), "the sweeper took something of a job that ran"

    # That the test saw what it is about:
    over = ("COMPLETED", "CANCELLED")
    until(lambda: sum(row[2] in over for row in torrent.accounted()) == load.JOBS, 60.0, "slurmdbd knows of all jobs")
    rows = torrent.accounted()
    lives = Counter((kind, state) for _, kind, state in rows)
    assert Counter(kind for _, kind in {row[:2] for row in rows}) == load.counts()
    assert lives["held", "CANCELLED"] == load.counts()["held"]
    assert all(state in ("COMPLETED", "REQUEUED", "NODE_FAIL") for kind, state in lives if kind != "held"), lives
    assert sum(number for (_, state), number in lives.items() if state == "COMPLETED") == load.JOBS - 10
    assert lives["requeued", "REQUEUED"] >= load.counts()["requeued"]
    assert most_at_once(found) > 1, "no GPU was shared"
    assert torrent.rebooted and torrent.outages, "no node was rebooted"  # most often in the middle of a job with GPUs
    with_gpus = {hold.job for hold in found if hold.gpus}
    # Slurm 22.05 may start the second run of a requeued job without any prolog: nobody saw that one hold anything.
    assert len(with_gpus) >= load.JOBS - load.counts()["cpu"] - 2
    assert len(looked.seen) > 0.9 * len(with_gpus)
    truth = {(hold.job, hold.node, hold.gpus) for hold in found}
    # slurmd 22.05 starts a job that comes back without a prolog, as long as it remembers its last run's credential.
    told = {(one.job, one.node, one.gpus) for one in torrent.told if pod.release != "bookworm" or not one.restarts}
    assert len(told) > len(with_gpus) / 2
    assert told <= truth, f"slurmctld tells of other GPUs than the prologs: {told - truth}"


# What follows is about single jobs, which need no recorder.


def submitted(pod: Lab, *options: str, node: str = FIRST) -> str:
    """A job that runs on a node until it is cancelled."""
    words = ("sbatch", "--parsable", "--mem=100", "--output=/dev/null", "--chdir=/tmp", f"--nodelist={node}", *options)
    job = pod.pod.run(HEAD, *words, "--wrap=sleep 600", user=USER).strip()
    until(lambda: state(pod, job) == "RUNNING", 60.0, f"job {job} runs")
    return job


def state(pod: Lab, job: str) -> str:
    return pod.tried(HEAD, "squeue", "--noheader", "--format=%T", f"--jobs={job}").stdout.strip()


def cancel(pod: Lab, *jobs: str) -> None:
    pod.on(HEAD, "scancel", *jobs)
    until(lambda: not any(state(pod, job) for job in jobs), 60.0, f"{jobs} are over")


def expected(*jobs: str) -> dict[str, str]:
    """The maps when job N holds GPU N, and no other is held."""
    found = {f"/run/gpustat/{gpu}": f"{job} {ALICE}" for gpu, job in enumerate(jobs) if job}
    return {**found, **{f"/run/dcgm-job-map/{gpu}": job for gpu, job in enumerate(jobs) if job}}


def shows(pod: Lab, wanted: dict[str, str], what: str, node: str = FIRST) -> None:
    until(lambda: maps(pod, node) == wanted, what=what)


def sweep(pod: Lab, looks: int = 1, *, later: int = 20, node: str = FIRST) -> None:
    """Run the sweeper as its timer does; before each look so many seconds pass, by its own notes."""
    older = "while read -r job since; do echo $job $((since - %d)); done </run/bcm-jobstats/missed >/run/older"
    for _ in range(looks):
        pod.on(node, "sh", "-c", f"{older % later}; mv /run/older /run/bcm-jobstats/missed")
        pod.on(node, "systemctl", "start", "jobstats-sweep.service")


def removed(pod: Lab) -> int:
    """What sweepers of the first node took away since it booted."""
    return sum(counted(pod, FIRST)["sweep"])


@contextmanager
def script(pod: Lab, kind: str, text: str) -> Iterator[None]:
    """A foreign script beside ours on the first node, before them."""
    file = pod.path(f"/cm/local/apps/slurm/var/{kind}s/30-foreign", FIRST)
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    file.chmod(0o755)
    try:
        yield
    finally:
        file.unlink()


def test_the_sweeper_runs_every_20_s(pod: Lab) -> None:
    """Two looks, 20 s apart, and the first within 20 s of the loss: a lost epilog heals within a minute."""
    told = pod.on(FIRST, "systemctl", "show", "jobstats-sweep.timer", "-p", "ActiveState", "-p", "TimersCalendar")
    assert "ActiveState=active" in told and "OnCalendar=*-*-* *:*:00/20" in told
    assert "patience=15 " in pod.on(FIRST, "cat", "/usr/lib/bcm-jobstats/gpu-sweep")


def test_a_lost_epilog_heals(pod: Lab) -> None:
    """A script before ours fails: BCM's epilog runs no further one (bcm-facts §5.1). That slurmd drains is not ours."""
    stays, lost = submitted(pod, "--gres=gpu:1"), submitted(pod, "--gres=gpu:1")
    shows(pod, expected(stays, lost), "both are there")
    sweep(pod)  # which sees their batch steps
    before = removed(pod)
    try:
        with script(pod, "epilog", "exit 7"):
            cancel(pod, lost)
        assert maps(pod, FIRST) == expected(stays, lost), "no epilog of ours ran"
        sweep(pod)
        sweep(pod)
        assert maps(pod, FIRST) == expected(stays)
        assert removed(pod) == before + 2
    finally:
        pod.on(HEAD, "scontrol", "update", f"nodename={FIRST}", "state=resume")
    cancel(pod, stays)
    shows(pod, {}, "nobody is there")


def test_the_sweeper_leaves_alone_what_runs(pod: Lab) -> None:
    """Batch jobs on shared and whole GPUs; an interactive one with a step; with steps that come and go."""
    before = removed(pod)
    jobs = [submitted(pod, f"--gres={gpus}") for gpus in ("gpu:1", "shard:1", "shard:1")]
    last = {"/run/gpustat/1": f"{jobs[2]} {ALICE}", "/run/dcgm-job-map/1": jobs[2]}
    until(lambda: last.items() <= maps(pod, FIRST).items(), what="both prologs of the last job ran")
    held = maps(pod, FIRST)
    sweep(pod, looks=3)
    assert maps(pod, FIRST) == held and removed(pod) == before
    cancel(pod, *jobs)
    shows(pod, {}, "nobody is there")


@contextmanager
def allocated(pod: Lab) -> Iterator[str]:
    """An interactive job without a step, which ends with the block."""
    words = ["salloc", "--mem=100", "--gres=gpu:1", f"--nodelist={FIRST}", "sh", "-c", "echo $SLURM_JOB_ID; cat"]
    enter = pod.pod.words(HEAD, words, user=USER)
    with subprocess.Popen(
        enter, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as it:
        assert it.stdout
        job = it.stdout.readline().strip()
        yield job
        it.communicate()
    until(lambda: not state(pod, job), 60.0, f"{job} is over")


def step(pod: Lab, job: str) -> subprocess.Popen[bytes]:
    """A step of an interactive job, which lasts until the job ends."""
    words = pod.pod.words(HEAD, ["srun", f"--jobid={job}", "sleep", "600"], user=USER)
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_an_allocation_without_a_step_stays_for_an_hour_and_comes_back(pod: Lab) -> None:
    """PrologFlags=Alloc alone: nothing on the node tells of the job until its first step."""
    with allocated(pod) as job:
        shows(pod, expected(job), "the prolog ran")
        sweep(pod, looks=3)
        assert maps(pod, FIRST) == expected(job), "it may only wait for its first step"
        sweep(pod, later=3600)
        assert maps(pod, FIRST) == {}
        running = step(pod, job)
        until(lambda: pod.tried(FIRST, "pgrep", "-f", f"^slurmstepd: .{job}[.]").stdout, what="the step runs")
        sweep(pod)
        assert maps(pod, FIRST) == expected(job)
        pod.on(HEAD, "scancel", job)
        running.wait()
    shows(pod, {}, "nobody is there")
    sweep(pod)
    assert maps(pod, FIRST) == {}


def test_a_job_between_its_steps_keeps_its_gpus_on_every_node(pod: Lab) -> None:
    """The second node of a batch job has no batch step: nothing tells of the job there between two steps."""
    words = ("sbatch", "--parsable", "-N2", "--gres=gpu:1", "--mem=100", "--output=/dev/null", "--chdir=/tmp")
    step = f"srun -N1 -n1 -w {SECOND} true"
    job = pod.pod.run(HEAD, *words, f"--wrap={step}; {step}; exec sleep 600", user=USER).strip()
    until(lambda: state(pod, job) == "RUNNING", 60.0, f"job {job} runs")
    assert pod.on(HEAD, "squeue", "--noheader", "--format=%B", f"--jobs={job}") == FIRST, "where its batch step is"
    for node in (FIRST, SECOND):
        shows(pod, expected(job), f"the prolog ran on {node}", node)
    sweep(pod, looks=3, node=SECOND)
    assert maps(pod, SECOND) == expected(job)
    cancel(pod, job)
    for node in (FIRST, SECOND):
        shows(pod, {}, f"the epilog ran on {node}", node)


def read_only(directory: str) -> tuple[str, str]:
    """The commands that make a directory read-only for root too, and that give it back."""
    spoil = f"mkdir -p {directory}; mount --bind {directory} {directory}; mount -o remount,bind,ro {directory}"
    return f"{spoil}; ! touch {directory}/x", f"umount {directory}"


@pytest.mark.parametrize(
    ("spoil", "mend", "failures"),
    [
        ("rm -r /run/dcgm-job-map /run/gpustat /run/bcm-jobstats/dcgm-job-map", ":", 0),
        (*read_only("/run/dcgm-job-map"), 1),
        ("rm -r /run/dcgm-job-map; : >/run/dcgm-job-map", "rm /run/dcgm-job-map", 1),
        (*read_only("/run/bcm-jobstats"), 0),  # nobody can count there
    ],
    ids=["removed", "read-only", "a file", "all read-only"],
)
def test_a_broken_map_harms_no_job(pod: Lab, spoil: str, mend: str, failures: int) -> None:
    before = failed(pod)
    pod.on(FIRST, "sh", "-c", spoil)
    try:
        words = ("srun", f"--nodelist={FIRST}", "--gres=gpu:2", "--mem=100", "--chdir=/tmp", "echo", "done")
        assert pod.pod.run(HEAD, *words, user=USER) == "done\n"
        until(lambda: pod.slurm(FIRST) == "idle", what="the node is idle, not drained")
        assert failed(pod) == before + failures
    finally:
        pod.on(FIRST, "sh", "-c", mend)
    job = submitted(pod, "--gres=gpu:1")
    shows(pod, expected(job), "it works again")
    cancel(pod, job)
    shows(pod, {}, "nobody is there")


def failed(pod: Lab) -> int:
    """How often a prolog failed on the first node; where none ran yet there is no count."""
    return counted(pod, FIRST).get("prolog-dcgm", (0, 0))[1]


def page(pod: Lab, name: str) -> list[str]:
    """The samples of node_exporter's page whose names begin so."""
    text = pod.on(HEAD, "curl", "--silent", "--fail", f"http://{FIRST}:9100/metrics")
    return [line for line in text.splitlines() if line.startswith(name)]


def test_what_the_hooks_cost_is_in_the_metrics(pod: Lab) -> None:
    cancel(pod, submitted(pod, "--gres=gpu:1"))
    runs = {hook: counted(pod, FIRST)[hook] for hook in HOOKS}
    sweep(pod)
    samples = dict(line.rsplit(" ", 1) for line in page(pod, "bcm_jobstats_"))
    for hook, (number, failures, spent, last) in runs.items():
        told = [float(samples[f'bcm_jobstats_hook_{name}{{hook="{hook}"}}']) for name in METRICS]
        assert told == [number, failures, spent / 1e6, last / 1e6]
    assert float(samples["bcm_jobstats_sweep_timestamp_seconds"]) > 0


def test_the_second_way_to_label(pod: Lab) -> None:
    """job_map.mode info: a metric for each job and GPU, and no label of dcgm-exporter."""
    pod.site(f"{SITE}job_map: {{mode: info}}\n")
    pod.apply()
    jobs = [submitted(pod, f"--gres={gpus}") for gpus in ("gpu:2", "shard:1")]
    held = ((0, jobs[0]), (1, jobs[0]), (2, jobs[1]))
    wanted = {f'slurm_job_gpu_info{{gpu="{gpu}",jobid="{job}",userid="{ALICE}"}} 1' for gpu, job in held}
    until(lambda: set(page(pod, "slurm_job_gpu_info")) == wanted, what="the metric of both jobs")
    assert not [name for name in maps(pod, FIRST) if "dcgm" in name]
    cancel(pod, *jobs)
    until(lambda: not page(pod, "slurm_job_gpu_info"), what="the metric is gone")


def test_an_allocation_stays_when_slurm_contains_it(pod: Lab) -> None:
    """PrologFlags=Alloc,Contain: a process of Slurm's is there from the start. The last test: Slurm restarts."""
    pod.cmsh("wlm; use slurm; set prologflags Alloc,Contain; commit")
    until(lambda: "Contain" in pod.on(HEAD, "scontrol", "show", "config"), 60.0, "slurmctld knows")
    pod.on(HEAD, "scontrol", "reconfigure")
    until(lambda: pod.slurm(FIRST) == "idle", 60.0, "the node is there")
    with allocated(pod) as job:
        until(lambda: f"{job} {ALICE}" in maps(pod, FIRST).values(), what="the prolog ran")
        held = maps(pod, FIRST)
        before = removed(pod)
        sweep(pod, looks=3)
        assert maps(pod, FIRST) == held and removed(pod) == before
