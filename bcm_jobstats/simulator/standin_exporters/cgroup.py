"""The stand-in for plazonic's cgroup_exporter (peers C6): the control groups of Slurm's jobs, as they really are.

All values are the kernel's; a limit that is not set is what the kernel says then (v1: 2^63 less a page), or -1 (v2).
It stands for the releases from 0.3.3 on, which look themselves which version of cgroups there is.
"""

from __future__ import annotations

import os

from .cgroup_paths import Group, groups_v1, groups_v2
from .cgroup_values import Values, readings_v1, readings_v2
from .files import read
from .page import Page, Sample

FAMILIES = (
    *(("cpu_user_seconds", "User time in seconds"), ("cpu_system_seconds", "System time in seconds")),
    *(("cpu_total_seconds", "CPU time in seconds"), ("cpus", "CPUs that may be used")),
    *(("memory_rss_bytes", "Anonymous memory"), ("memory_cache_bytes", "Page cache"), ("memory_used_bytes", "Usage")),
    *(("memory_shmem_bytes", "Shared memory"), ("memory_total_bytes", "Limit"), ("memory_fail_count", "Limit hits")),
    *(("memsw_used_bytes", "With swap: usage"), ("memsw_total_bytes", "With swap: limit")),
    ("memsw_fail_count", "With swap: limit hits"),
)


def cgroup(page: Page, options: dict[str, str]) -> None:
    """The job totals (empty step and task); with ``--collect.fullslurm`` the steps and tasks too."""
    root = f"{options.get('simulated-root', '')}/sys/fs/cgroup"
    unified = os.path.exists(f"{root}/cgroup.controllers")  # noqa: PTH110
    found: dict[str, tuple[Group, Values]] = {}
    for group in groups_v2(root) if unified else groups_v1(root):
        if group[3] and "collect.fullslurm" not in options:
            continue
        try:
            found[group[0]] = group, readings_v2(root + group[0]) if unified else readings_v1(root, group[0])
        except OSError:
            continue  # the job ended meanwhile
    inherit(found)
    for name, text in FAMILIES:
        samples = [sample(group, values[name]) for group, values in found.values()]
        page.family(f"cgroup_{name}", "gauge", f"{text} of the job, step or task", *samples)
    by_process = unified and "collect.username" in options
    totals = [group for group, _ in found.values() if not group[3]]
    owners = [({"jobid": group[2]}, owner(root + group[0]) if by_process else group[1]) for group in totals]
    page.family("cgroup_uid", "gauge", "Uid of the job's user", *owners)


def sample(group: Group, value: float) -> Sample:
    """The value with the labels of its group."""
    _, _, job, step, task = group
    return {"jobid": job, "step": step, "task": task}, value


def inherit(found: dict[str, tuple[Group, Values]]) -> None:
    """Give a group without CPUs those of the group one or two above it, and one without a v2 limit its job's."""
    own = {path: values["cpus"] for path, (_, values) in found.items()}
    for path, (group, values) in found.items():
        parent = path.rpartition("/")[0]
        values["cpus"] = own[path] or own.get(parent) or own.get(parent.rpartition("/")[0], 0)
        job = path.partition("/step_")[0]
        if values["memory_total_bytes"] < 0 and group[3] and job in found:
            values["memory_total_bytes"] = found[job][1]["memory_total_bytes"]


def owner(directory: str) -> int:
    """The uid of the processes of a job, -1 without any; those that Slurm itself starts count least."""
    uid = -1
    for place, _, _ in os.walk(directory):
        try:
            pids = read(f"{place}/cgroup.procs").split()
        except OSError:
            continue
        for pid in pids:
            try:
                uid, program = os.stat(f"/proc/{pid}").st_uid, os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115, PTH116
            except OSError:
                continue
            if program.rpartition("/")[2] not in ("sleep", "slurmstepd"):
                return uid
    return uid
