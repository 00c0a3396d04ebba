"""Settings of Slurm through the site file, on real Slurm: a job's control group has the limits, and all comes back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bcm_jobstats.simulator.lab.pod import USER
from bcm_jobstats.simulator.layout import HEAD
from tests.harness import until
from tests.lab.labs import EXPORTERS, NODES, Lab

pytestmark = pytest.mark.lab

SITE = "slurm: {constrain_ram: true, constrain_cores: true, manage_conf: true}\n"
NODE = NODES[0]
MIB = 2**20


def conf(lab: Lab, name: str) -> Path:
    """A file of Slurm's configuration, where `wlm get etc` says that it is (bcm-facts §5.2)."""
    etc = lab.cmsh("wlm; use slurm; get etc").strip()
    return lab.path(f"{etc}/{name}")


def submitted(lab: Lab) -> str:
    """The number of a job of an ordinary user, once it runs."""
    sbatch = ["sbatch", "--parsable", f"--nodelist={NODE}", "--ntasks=1", "--cpus-per-task=2", "--mem=100"]
    number = lab.pod.run(lab.pod.entrance(), *sbatch, "--wrap=echo runs; sleep 600", user=USER).strip()
    output = lab.path(f"/home/{USER}/slurm-{number}.out", NODE)
    until(lambda: output.exists() and "runs" in output.read_text(), 60.0, f"job {number} has begun")
    return number


def limits(lab: Lab, job: str) -> dict[str, float]:
    """What the exporter says of the job as a whole (peers C6)."""
    until(lambda: lab.answers(NODE, EXPORTERS["cgroup_exporter"]), 60.0, "cgroup_exporter answers")
    text = lab.on(HEAD, "curl", "--silent", "--fail", f"http://{NODE}:9306/metrics")
    found = re.findall(rf'^(cgroup_cpus|cgroup_memory_total_bytes)\{{([^}}]*jobid="{job}"[^}}]*)\}} (\S+)$', text, re.M)
    return {name: float(value) for name, labels, value in found if 'step=""' in labels and 'task=""' in labels}


def ended(lab: Lab, job: str) -> None:
    lab.on(HEAD, "scancel", job)
    until(lambda: not lab.on(HEAD, "squeue", "--noheader", "--jobs", job), 60.0, f"job {job} has ended")


def test_apply_sets_the_limits_and_destroy_gives_the_former_settings_back(lab: Lab) -> None:
    lab.cmsh("wlm; use slurm; cgroups; set constraincores no; commit")
    lab.simulator.control({"op": "wait_idle"})
    before = {name: conf(lab, name).read_bytes() for name in ("slurm.conf", "cgroup.conf")}
    assert b"ConstrainCores=no\nConstrainRAMSpace=no\n" in before["cgroup.conf"]
    lab.site()
    lab.apply()
    job = submitted(lab)
    without = limits(lab, job)
    assert without["cgroup_memory_total_bytes"] != 100 * MIB
    ended(lab, job)

    lab.site(SITE)
    lab.apply()
    lab.simulator.control({"op": "wait_idle"})
    assert b"ConstrainCores=yes\nConstrainRAMSpace=yes\n" in conf(lab, "cgroup.conf").read_bytes()
    assert b"\nTaskPlugin=task/affinity,task/cgroup\n" in conf(lab, "slurm.conf").read_bytes()
    lab.on(HEAD, "scontrol", "reconfigure")
    until(lambda: lab.slurm(NODE) == "idle", 60.0, "Slurm has the node")
    job = submitted(lab)
    assert limits(lab, job) == {"cgroup_cpus": 2.0, "cgroup_memory_total_bytes": 100.0 * MIB}
    ended(lab, job)

    lab.ok("destroy", "--yes", "-q")
    lab.simulator.control({"op": "wait_idle"})
    assert {name: conf(lab, name).read_bytes() for name in before} == before
    assert list(conf(lab, "slurm.conf").parent.glob("*bcm-jobstats*")) == []
