"""Real Slurm, and our services with our hardening, on a pure cgroup v2 in a virtual machine (lab.md §3b)."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats import stack
from bcm_jobstats.simulator import imageseed, layout
from bcm_jobstats.simulator.cluster import RELEASES
from bcm_jobstats.simulator.lab import bases, slurmfiles
from tests.lab import vm
from tests.lab.vm import guest
from tests.lab.vm.job import HELD, MIB, USED

pytestmark = [pytest.mark.lab, pytest.mark.skipif(vm.missing() is not None, reason=str(vm.missing()))]

NODE = "vmnode"
SITE = "cluster: vm\nroles: {jobstats: {attach: {manual: true}}}\n"
NODE_EXPORTER = '#!/bin/sh\nexec /usr/bin/prometheus-node-exporter "$@"\n'  # the real one, of the base tree
SLURM = {
    "slurm": f"""\
ClusterName=vm
SlurmctldHost={NODE}
SlurmUser=slurm
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
MpiDefault=none
ProctrackType=proctrack/cgroup
JobAcctGatherType=jobacct_gather/cgroup
TaskPlugin=task/cgroup
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={NODE} CPUs=2 Sockets=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=2000 Gres=gpu:h100:8
PartitionName=defq Nodes={NODE} Default=YES MaxTime=INFINITE State=UP
""",
    "gres": "AutoDetect=off\nName=gpu Type=h100 File=/dev/nvidia[0-7]\n",
}


@dataclass(frozen=True)
class Run:
    """What the guest saw, and the texts of our units that it ran."""

    seen: vm.Seen
    units: Mapping[str, str]


@pytest.fixture(scope="module", params=RELEASES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One boot of a release for all the checks, also when several processes run them."""
    site = tmp_path_factory.mktemp("site") / "site.yaml"
    site.write_text(SITE, encoding="utf-8")
    ours = stack.Stack(*stack.load(site))
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    work = shared / f"vm-{request.param}"
    with (shared / "vm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not work.exists():
            payload(work / "payload", ours)
            trees = bases.build(request.param, print)
            vm.boot(vm.parts(bases.cache() / "vm", trees.release, [trees.head, trees.node]), work)
    return Run(vm.seen(work), {Path(file.path).stem: file.content.decode() for file in ours.payload({"jobstats"})})


def cgroup_conf() -> str:
    """As the lab writes it for a site that constrains everything, which is what has Slurm make every control group."""
    state = layout.fresh(layout.Layout())
    constrained = dict.fromkeys(("constraincores", "constraindevices", "constrainramspace"), "yes")
    state.table("wlm")[layout.WLM].entries("cgroups")["cgroups"].values.update(constrained)
    return slurmfiles.cgroup_conf(state, layout.WLM)


def payload(root: Path, ours: stack.Stack) -> None:
    """What the role jobstats puts on a node, the exporters that a site supplies, and Slurm's configuration."""
    for directory in ("usr/bin", "usr/local/bin"):
        (root / directory).mkdir(parents=True)
    imageseed.programs(root)
    files = {file.path.lstrip("/"): file.content.decode() for file in ours.payload({"jobstats"})}
    files.update({f"{vm.PLACE}/accounts/{Path(name).name}": f"{line}\n" for name, line in ours.system_user().items()})
    files.update({f"etc/slurm/{name}.conf": text for name, text in SLURM.items()})
    files["etc/slurm/cgroup.conf"] = cgroup_conf()
    files.update({"etc/hostname": f"{NODE}\n", "etc/hosts": f"127.0.0.1 localhost\n{guest.ADDRESS} {NODE}\n"})
    files["usr/local/bin/node_exporter"] = NODE_EXPORTER
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    for program in ("usr/lib/bcm-jobstats/jobstats-target", "usr/local/bin/node_exporter"):
        (root / program).chmod(0o755)


def test_the_machine_has_nothing_but_cgroup_v2(run: Run) -> None:
    seen = run.seen["machine"]
    assert seen["mounts"] == [["/sys/fs/cgroup", "cgroup2"]]
    assert {"cpu", "cpuset", "memory", "pids"} <= set(seen["controllers"])
    assert re.fullmatch(rf"{NODE} idle gpu:h100:8.*", run.seen["slurm"])


@pytest.mark.parametrize("name", guest.LIMITS)
def test_a_job_is_below_the_scope_of_its_node(run: Run, name: str) -> None:
    job = run.seen["running"][name]
    assert job["cgroup"] == f"/system.slice/{NODE}_slurmstepd.scope/job_{job['job']}/step_0/user/task_0"
    assert all({"cpu", "memory"} <= set(controllers) for controllers in job["controllers"])
    assert job["memory.max"] == str(guest.LIMITS[name] * MIB)


def test_a_job_reaches_its_own_gpus_alone(run: Run) -> None:
    job = run.seen["running"]["gpu"]
    # CUDA counts what the job may open, so only Slurm's own variable names the devices.
    assert (job["SLURM_STEP_GPUS"], job["CUDA_VISIBLE_DEVICES"]) == ("1,2", "0,1")
    # No driver is behind the devices: what the job may open answers that there is no such device.
    assert job["devices"] == {str(gpu): errno.ENXIO if gpu in {1, 2} else errno.EPERM for gpu in range(8)}


def test_a_job_over_its_memory_is_killed_and_counted(run: Run) -> None:
    job = run.seen["running"]["oom"]
    assert job["child_signal"] == signal.SIGKILL
    assert events(job)["oom_kill"] == 1
    assert events(run.seen["running"]["gpu"])["oom_kill"] == 0
    assert "oom" in run.seen["ended"]["oom"]["output"].lower()


@pytest.mark.parametrize("name", guest.UNITS)
def test_our_services_run(run: Run, name: str) -> None:
    unit = run.seen["units"][name]
    assert (unit["ActiveState"], unit["Result"]) == ("active", "success")


@pytest.mark.parametrize("name", guest.PORTS)
def test_a_services_limits_are_those_of_its_control_group(run: Run, name: str) -> None:
    said, unit = dict(re.findall(r"^(\w+)=(\d+)[M%]?$", run.units[name], re.MULTILINE)), run.seen["units"][name]
    assert unit["memory.max"] == str(int(said["MemoryMax"]) * MIB)
    assert unit["memory.high"] == said["MemoryHigh"]
    assert unit["cpu.max"].split() == [str(int(said["CPUQuota"]) * 1000), "100000"]
    assert unit["pids.max"] == said["TasksMax"]


def test_the_node_is_registered(run: Run) -> None:
    targets = [target for entry in run.seen["targets"] for target in entry["targets"]]
    assert targets == [f"{NODE}:{port}" for port in guest.PORTS.values()]


def test_the_exporters_answer_from_their_sandboxes(run: Run) -> None:
    assert run.seen["scraped"]["status"] == dict.fromkeys(guest.PORTS, 200)


@pytest.mark.parametrize("name", guest.LIMITS)
def test_cgroup_exporter_sees_a_running_job(run: Run, name: str) -> None:
    job = run.seen["running"][name]
    values = samples(run.seen["scraped"]["text"], job["job"])
    assert values["cgroup_memory_total_bytes"] == guest.LIMITS[name] * MIB
    assert values["cgroup_uid"] == -1  # nothing in the tree says whose it is; v1 has it in the path
    assert values["cgroup_cpus"] == 1
    assert 0 < values["cgroup_memory_used_bytes"] <= values["cgroup_memory_total_bytes"]
    assert values["cgroup_cpu_total_seconds"] > 0


def test_cgroup_exporter_measures_what_a_job_used(run: Run) -> None:
    text, jobs = run.seen["scraped"]["text"], run.seen["running"]
    used, killed = samples(text, jobs["gpu"]["job"]), samples(text, jobs["oom"]["job"])
    assert used["cgroup_memory_rss_bytes"] >= HELD * MIB
    assert used["cgroup_cpu_total_seconds"] >= USED
    assert used["cgroup_memory_fail_count"] == 0
    assert killed["cgroup_memory_fail_count"] > 0


def test_a_job_that_ended_is_gone_from_the_next_scrape(run: Run) -> None:
    assert run.seen["ended"]["gpu"] == {"status": 0, "output": ""}
    status, text = run.seen["ended"]["scraped"]
    assert (status, re.findall(r'jobid="\d+"', text)) == (200, [])


def events(job: Mapping[str, Any]) -> dict[str, int]:
    """memory.events of a job by name."""
    return {name: int(count) for name, count in re.findall(r"^(\w+) (\d+)$", job["memory.events"], re.M)}


def samples(text: str, job: str) -> dict[str, float]:
    """The samples of a job as a whole, so without step and task, by metric."""
    found = re.findall(r"^(\w+)\{([^}]*)\} (\S+)$", text, re.MULTILINE)
    of_job = ((name, dict(re.findall(r'(\w+)="([^"]*)"', labels)), value) for name, labels, value in found)
    return {
        name: float(value)
        for name, labels, value in of_job
        if labels.get("jobid") == job and not labels.get("step") and not labels.get("task")
    }
