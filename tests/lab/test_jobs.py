"""From the job to the metric, on the lab that `lab up` makes: real Slurm, hooks, cgroups and Prometheus."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
import yaml

from bcm_jobstats.simulator.cluster import RELEASES
from bcm_jobstats.simulator.lab.pod import USER, Pod
from bcm_jobstats.simulator.layout import HEAD
from tests.harness import until
from tests.lab import command, labs

pytestmark = pytest.mark.lab

MOST_MEMORY = 100 * 2**20
"""Bytes that a node may take, see `lab.memory`: its programs, tmpfs and the kernel's share, not its cache of files."""
SERIES = {
    "cgroup_exporter": "cgroup_cpu_total_seconds cgroup_memory_rss_bytes",
    "gpu_exporter": "nvidia_gpu_duty_cycle nvidia_gpu_memory_used_bytes nvidia_gpu_power_usage_milliwatts",
    "dcgm-exporter": "DCGM_FI_DEV_GPU_UTIL DCGM_FI_DEV_POWER_USAGE",
}
"""By Prometheus job: series that tell of a Slurm job (peers C1, C6, C7)."""


@pytest.fixture(scope="module", params=RELEASES)
def pod(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    reason = labs.missing()
    if reason:
        pytest.skip(reason)
    with command.up(tmp_path_factory.mktemp("jobs") / "lab", "--nodes", "2", "--release", request.param) as made:
        yield made


@dataclass(frozen=True)
class Job:
    """A job that waits on a node, and the numbers of the GPUs that Slurm gave it there."""

    number: str
    node: str
    gpus: frozenset[str]


def submitted(pod: Pod, node: str, gpus: int) -> Job:
    """A job of an ordinary user, which runs until it is cancelled."""
    sbatch = ["sbatch", "--parsable", f"--nodelist={node}", f"--gpus={gpus}", "--mem=100"]
    number = pod.run(pod.entrance(), *sbatch, "--wrap=echo $SLURM_JOB_GPUS; sleep 600", user=USER).strip()
    output = pod.directory / f"nodes/{node}/home/{USER}/slurm-{number}.out"
    until(lambda: output.exists() and output.read_text().endswith("\n"), 60.0, f"job {number} has begun")
    return Job(number, node, frozenset(output.read_text().strip().split(",")))


def series(pod: Pod, job: Job) -> dict[str, list[Mapping[str, str]]]:
    """What Prometheus has of a job now: the labels of its series, by their names."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for sample in pod.query(f'{{jobid="{job.number}"}} or {{hpc_job="{job.number}"}}'):
        found.setdefault(sample["metric"]["__name__"], []).append(sample["metric"])
    return found


def shown(pod: Pod, job: Job) -> bool:
    """Whether every exporter tells of the job on exactly its GPUs, by the labels that jobstats asks for."""
    found = series(pod, job)
    for exporter, names in SERIES.items():
        for labels in (labels for name in names.split() for labels in found.get(name, ())):
            assert (labels["job"], labels["cluster"], labels["hostname"]) == (exporter, "slurm", job.node), labels
            assert labels["instance"].split(":")[0] == job.node, "one spelling of a host for all exporters (peers C1)"

    def values(exporter: str, label: str) -> list[set[str]]:
        names = SERIES[exporter].split()
        return [{labels.get(label, "") for labels in found.get(name, ())} for name in names]

    whole = all("" in steps for steps in values("cgroup_exporter", "step"))  # the job as a whole, besides its steps
    gpus = values("gpu_exporter", "minor_number") + values("dcgm-exporter", "gpu")
    return whole and all(numbers == job.gpus for numbers in gpus)


def end_to_end(pod: Pod, nodes: list[str]) -> None:
    """Two jobs at once on each node; what Prometheus has of them while they run, and after it; accounting; memory."""
    jobs = [submitted(pod, node, gpus) for node in nodes for gpus in (2, 3)]
    for node in nodes:
        first, second = (job for job in jobs if job.node == node)
        assert (len(first.gpus), len(second.gpus)) == (2, 3) and not first.gpus & second.gpus
    until(lambda: all(shown(pod, job) for job in jobs), 90.0, f"all series of {jobs}")
    taken = {node: pod.memory(node) for node in nodes}
    assert all(0 < (size or 0) <= MOST_MEMORY for size in taken.values()), taken
    pod.run(pod.entrance(), "scancel", *(job.number for job in jobs), user=USER)
    until(lambda: not any(series(pod, job) for job in jobs), 90.0, "nobody tells of the jobs any more")
    numbers = ",".join(job.number for job in jobs)
    sacct = ("sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State,AllocTRES")
    rows = [line.split("|") for line in pod.run(HEAD, *sacct, f"--jobs={numbers}").splitlines()]
    assert [row[0] for row in rows] == [job.number for job in jobs] and all("CANCELLED" in row[1] for row in rows)
    assert [f"gres/gpu={len(job.gpus)}" in row[2].split(",") for job, row in zip(jobs, rows)] == [True] * len(jobs)


def test_jobs_in_the_metrics(pod: Pod) -> None:
    end_to_end(pod, ["dgx-01"])


def test_a_job_over_nodes_is_shown_on_each(pod: Pod) -> None:
    job = pod.run(HEAD, "sbatch", "--parsable", "-N2", "--gpus-per-node=8", "--wrap=srun sleep 600", user=USER).strip()
    everywhere = {f"dgx-0{node}-{gpu}" for node in (1, 2) for gpu in range(8)}

    def gpus() -> set[str]:
        found = pod.query(f'nvidia_gpu_duty_cycle{{jobid="{job}"}}')
        return {f"{sample['metric']['hostname']}-{sample['metric']['minor_number']}" for sample in found}

    until(lambda: gpus() == everywhere, 60.0, "all GPUs of both nodes")
    pod.run(HEAD, "scancel", job, user=USER)


def test_a_prolog_that_fails_drains_the_node_if_the_generic_one_tells(pod: Pod) -> None:
    """bcm-facts §13 #12, the switch `prolog_status`: as it is on the nodes at once."""
    script = "/cm/local/apps/slurm/var/prologs/40-fails"
    pod.run("dgx-02", "sh", "-c", f"printf '#!/bin/sh\nexit 7\n' > {script}; chmod +x {script}")
    try:
        assert pod.call(HEAD, "srun", "--nodelist=dgx-02", "hostname").returncode != 0
        until(lambda: pod.ready() == ["dgx-01"], 60.0, "the node is drained")
        pod.simulator.control({"op": "switch", "name": "prolog_status", "value": "zero"})
        pod.run(HEAD, "scontrol", "update", "nodename=dgx-02", "state=resume")
        until(lambda: pod.ready() == ["dgx-01", "dgx-02"], 60.0, "the node is back")
        assert pod.run(HEAD, "srun", "--nodelist=dgx-02", "hostname") == "dgx-02\n"
    finally:
        pod.run("dgx-02", "rm", script)
        pod.simulator.control({"op": "switch", "name": "prolog_status", "value": "honest"})


def test_the_product_on_the_head_node(pod: Pod) -> None:
    """Nothing to do after `lab up`; taken away, nobody is scraped; put back, all is as it was."""
    targets = pod.targets()
    assert len(targets) == 8 and all(targets.values())
    assert pod.call(HEAD, "bcm-jobstats", "drift").returncode == 0
    pod.run(HEAD, "bcm-jobstats", "destroy", "--yes")
    assert pod.call(HEAD, "bcm-jobstats", "drift").returncode == 2
    until(lambda: not pod.targets(), 60.0, "Prometheus has no targets")
    pod.run(HEAD, "bcm-jobstats", "apply", "--yes")
    until(lambda: pod.targets() == targets, 60.0, "Prometheus has the targets again")
    assert pod.call(HEAD, "bcm-jobstats", "drift").returncode == 0
    assert all(row["ok"] for row in json.loads(pod.run(HEAD, "bcm-jobstats", "status", "--json")))


def test_the_head_node_reconciles_by_itself_and_serves_the_targets(pod: Pod) -> None:
    """targets.every and targets.listen: CMDaemon starts the services of head nodes (bcm-facts §3.3, §10)."""
    site, state = pod.directory / "etc/bcm-jobstats/site.yaml", pod.directory / "var/spool/cmd/state"
    before = site.read_text()
    document = yaml.safe_load(before)
    document["targets"] = {**(document.get("targets") or {}), "every": "10s", "listen": "0.0.0.0:9089"}
    directory = pod.directory / "cm/shared/apps/jobstats/prometheus-targets"
    stale = (directory / "dgx-01.json").read_text().replace("dgx-01", "gone-01")  # what a node has written
    count = len(pod.targets())

    def active(*units: str) -> list[str]:
        return pod.call(HEAD, "systemctl", "is-active", *units).stdout.split()

    def served() -> int:
        told = pod.call(HEAD, "curl", "--silent", "--fail", "http://master:9089/targets").stdout
        return len(json.loads(told)) if told else 0

    try:
        site.write_text(yaml.safe_dump(document))
        pod.run(HEAD, "bcm-jobstats", "apply", "--yes")
        until(lambda: active("jobstats-registry.timer", "jobstats-targets-http") == ["active"] * 2, 60.0)
        until(lambda: served() == count, 60.0, "it serves what is registered")
        (directory / "gone-01.json").write_text(stale)
        until(lambda: not (directory / "gone-01.json").exists(), 60.0, "the timer has removed it")
        state.parent.mkdir(parents=True, exist_ok=True)
        state.write_text("PASSIVE\n")
        (directory / "gone-01.json").write_text(stale)
        pod.run(HEAD, "systemctl", "start", "jobstats-registry-sync")
        assert (directory / "gone-01.json").exists(), "a passive head does nothing, and that is no failure"
        assert active("jobstats-registry-sync") == ["inactive"]
    finally:
        state.unlink(missing_ok=True)
        (directory / "gone-01.json").unlink(missing_ok=True)
        site.write_text(before)
        pod.run(HEAD, "bcm-jobstats", "apply", "--yes")
    until(lambda: active("jobstats-registry.timer", "jobstats-targets-http") == ["inactive"] * 2, 60.0)
    assert not list((pod.directory / "etc/systemd/system").glob("jobstats-*"))


def test_sixteen_nodes(tmp_path_factory: pytest.TempPathFactory) -> None:
    reason = labs.missing()
    if reason:
        pytest.skip(reason)
    with command.up(tmp_path_factory.mktemp("sixteen") / "lab", "--nodes", "16") as pod:
        end_to_end(pod, [f"dgx-{number:02}" for number in range(1, 17)])
