"""Shared GPUs, nvidia-smi and the settings of the workload manager, on the real Slurm of a lab without the product."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from bcm_jobstats.simulator.lab.pod import USER
from bcm_jobstats.simulator.layout import HEAD
from tests.harness import until
from tests.lab.labs import NODES, Lab

pytestmark = [pytest.mark.lab, pytest.mark.parametrize("lab", ["trixie"], indirect=True)]

FIRST, _ = NODES
CGROUPS = "/sys/fs/cgroup"
WLM = "wlm; use slurm"


@pytest.fixture
def slurm(lab: Lab) -> Iterator[Lab]:
    """The lab without jobs, before a test and after it."""
    yield lab
    lab.pod.run(HEAD, "scancel", f"--user={USER}")
    until(lambda: not lab.on(HEAD, "squeue", "--noheader"), 60.0, "no jobs")


def submitted(lab: Lab, *options: str) -> str:
    """The number of a job on the first node that runs until it is cancelled."""
    words = ("sbatch", "--parsable", f"--nodelist={FIRST}", *options)
    return lab.pod.run(HEAD, *words, "--wrap=echo $SLURM_JOB_GPUS; sleep 600", user=USER).strip()


def gpus(lab: Lab, job: str) -> str:
    """The numbers of the GPUs that Slurm gave a job, once it runs: as its prolog has them too."""
    output = lab.path(f"/home/{USER}/slurm-{job}.out", FIRST)
    until(lambda: output.exists() and output.read_text().endswith("\n"), 60.0, f"job {job} has begun")
    return output.read_text().strip()


def told(lab: Lab, name: str) -> str:
    """A setting by which slurmctld runs; empty while it does not answer."""
    found = re.search(rf"^{name} *= (.*)$", lab.tried(HEAD, "scontrol", "show", "config").stdout, re.MULTILINE)
    return found[1].strip() if found else ""


def test_jobs_share_a_gpu_that_no_job_has_for_itself(slurm: Lab) -> None:
    shared = [gpus(slurm, submitted(slurm, "--mem=100", "--gres=shard:1")) for _ in range(3)]
    whole = gpus(slurm, submitted(slurm, "--mem=100", "--gres=gpu:2"))
    assert len(set(shared)) == 1
    assert len(set(whole.split(",")) - set(shared)) == 2
    everything = submitted(slurm, "--mem=100", "--gres=gpu:6")  # Slurm has five that nobody shares
    state = ("squeue", "--noheader", "--format=%T %r", f"--jobs={everything}")
    until(lambda: slurm.on(HEAD, *state) == "PENDING Resources", 60.0, "the job waits for the shared GPU")


def test_nvidia_smi_tells_of_a_nodes_gpus(slurm: Lab) -> None:
    assert slurm.on(FIRST, "nvidia-smi", "-L").count("GPU-") == 8
    done = slurm.tried(FIRST, "env", "HOSTNAME=another", "nvidia-smi", "-L")
    assert (done.stdout.rstrip("\n"), done.stderr) == (slurm.on(FIRST, "nvidia-smi", "-L"), "")
    names = {slurm.on(node, "nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader") for node in NODES}
    assert len(names) == len(NODES)
    layout = slurm.path("/etc/bcm-simulated-mig", FIRST)
    layout.write_text("0:1g.10gb*7\n", encoding="utf-8")
    try:
        assert slurm.on(FIRST, "nvidia-smi", "-L").count("UUID: MIG-") == 7
        assert slurm.on(FIRST, "nvidia-smi", "-q").count("GPU Instance ID") == 7
    finally:
        layout.unlink()


def test_settings_made_in_cmsh_hold_for_the_next_job(slurm: Lab) -> None:
    try:
        slurm.cmsh(f"{WLM}; cgroups; set constrainramspace yes; set constraincores yes; commit")
        until(lambda: told(slurm, "ConstrainRAMSpace") == "yes", 60.0, "slurmctld has read cgroup.conf")
        slurm.cmsh(f"{WLM}; set prologflags Alloc,Contain; commit")
        until(lambda: told(slurm, "PrologFlags") == "Alloc,Contain", 60.0, "slurmctld has read slurm.conf")
        job = submitted(slurm, "--mem=150")
        assert gpus(slurm, job) == ""
        path = f"slurm_{FIRST}/uid_*/job_{job}"
        limit = f"cat {CGROUPS}/memory/{path}/memory.limit_in_bytes"
        assert slurm.on(FIRST, "sh", "-c", limit) == str(150 * 2**20)
        assert slurm.on(FIRST, "sh", "-c", f"ls -d {CGROUPS}/cpuset/{path}/step_extern")
        slurm.pod.run(HEAD, "scancel", job)
        slurm.cmsh(f"{WLM}; set selecttypeparameters CR_Core; commit")
        until(lambda: told(slurm, "SelectTypeParameters") == "CR_CORE", 60.0, "slurmctld has begun anew")
        until(lambda: slurm.slurm(FIRST) == "idle", 60.0, "the node is back")
        assert gpus(slurm, submitted(slurm, "--gres=gpu:1"))
    finally:
        slurm.cmsh(f"{WLM}; set prologflags Alloc; set selecttypeparameters CR_Core_Memory; commit")
        slurm.cmsh(f"{WLM}; cgroups; set constrainramspace no; commit")
        until(lambda: told(slurm, "SelectTypeParameters") == "CR_CORE_MEMORY", 60.0, "all is as before")
