"""Checks of what the control groups of jobs tell, which cgroup_exporter reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from bcm_jobstats.site.noderange import RangeError, expand
from bcm_jobstats.site.selecttypes import dotted
from bcm_jobstats.slurm.conffile import Setting
from bcm_jobstats.slurm.findings import ERROR, NOTE, WARNING, Finding, Seen, at, by_conf, by_site

YES = {"yes", "true", "up", "1"}
"""What Slurm takes for yes, in any case."""
WITHOUT_MEMORY = {"cr_cpu", "cr_core", "cr_socket", "cr_board"}
"""SelectTypeParameters by which memory is not allocated; those that allocate it end in `_Memory` (slurm.conf(5))."""
BY_SLUID, OLD_PATHS = (26, 5), (26, 5, 2)
"""Slurm's versions from which cgroup v2 paths hold a job's SLUID, and CgroupJobIdPaths is known (peers C4a, C5)."""


def gathering(seen: Seen) -> Iterator[Finding]:
    """jobstats' memory and CPU time are those of the jobs' cgroups (peers C1, A3a).

    Slurm compares names of plugins with their case, and only TaskPlugin's go without their kind: 22.05 and 24.11 do
    not start with ProctrackType=cgroup.
    """
    setting = seen.slurm.setting("JobAcctGatherType")
    if setting is None or setting.value != "jobacct_gather/cgroup":
        cause = f"JobAcctGatherType is {setting.value if setting else 'not set'}: cgroups of jobs lack counters"
        yield Finding(
            ERROR, at(seen.slurm, setting), cause, by_conf(seen, "JobAcctGatherType", "jobacct_gather/cgroup")
        )


def tracking(seen: Seen) -> Iterator[Finding]:
    """Without proctrack/cgroup, which is Slurm's default on Linux, jobs have no cgroups of their own."""
    setting = seen.slurm.setting("ProctrackType")
    if setting and setting.value != "proctrack/cgroup":
        cause = f"ProctrackType is {setting.value}: jobs have no cgroups to be measured by"
        yield Finding(ERROR, setting.where, cause, by_conf(seen, "ProctrackType", "proctrack/cgroup"))


def tasks(seen: Seen) -> Iterator[Finding]:
    """task/cgroup applies the limits; Slurm advises to have task/affinity with it (slurm.conf(5), TaskPlugin)."""
    setting = seen.slurm.setting("TaskPlugin")
    plugins = {word.strip().rpartition("/")[2] for word in setting.value.split(",")} if setting else set()
    remedy = by_conf(seen, "TaskPlugin", "task/affinity,task/cgroup")
    if "cgroup" not in plugins:
        cause = f"TaskPlugin is {setting.value if setting else 'not set'}, without cgroup: jobs are not held to limits"
        yield Finding(ERROR, at(seen.slurm, setting), f"{cause} that could be measured", remedy)
    elif "affinity" not in plugins and setting:
        cause = f"TaskPlugin is {setting.value}, without affinity, which Slurm advises to have with cgroup"
        yield Finding(WARNING, setting.where, cause, remedy)


def cores(seen: Seen) -> Iterator[Finding]:
    """cgroup_cpus counts the CPUs of a job's cpuset."""
    setting = seen.cgroup.setting("ConstrainCores")
    if not _yes(setting):
        cause = "ConstrainCores is not yes: cgroup_cpus is 0, and jobstats tells no CPU efficiency"
        yield Finding(WARNING, at(seen.cgroup, setting), cause, by_site(seen, "constrain_cores", "yes"))


def memory(seen: Seen) -> Iterator[Finding]:
    """The memory of a job is the limit of its cgroup, when there is one."""
    setting = seen.cgroup.setting("ConstrainRAMSpace")
    if not _yes(setting):
        cause = "ConstrainRAMSpace is not yes: the memory of jobs has no limit, and shows as 2^63 bytes or -1"
        yield Finding(WARNING, at(seen.cgroup, setting), cause, by_site(seen, "constrain_ram", "yes"))


def memory_is_allocated(seen: Seen) -> Iterator[Finding]:
    """ConstrainRAMSpace has no effect unless jobs are allocated memory (cgroup.conf(5)); cons_tres does by default."""
    setting = seen.slurm.setting("SelectTypeParameters")
    words = set(seen.words("SelectTypeParameters"))
    kind = (seen.slurm.get("SelectType") or "").lower()
    remedy = by_site(seen, "select_type_parameters", "CR_Core_Memory") + " That restarts slurmctld and slurmd."
    if any(word.endswith("_memory") for word in words):
        return
    if words & WITHOUT_MEMORY or kind == "select/linear":
        cause = f"SelectTypeParameters is {setting.value if setting else 'not set'}: memory is not allocated to jobs"
        yield Finding(WARNING, at(seen.slurm, setting), f"{cause}, and ConstrainRAMSpace is of no use", remedy)
    elif not kind:
        cause = (
            "sets neither SelectType nor SelectTypeParameters; whether memory is allocated depends on Slurm's version"
        )
        yield Finding(NOTE, str(seen.slurm.path), cause, remedy)


def names_of_cgroups(seen: Seen) -> Iterator[Finding]:
    """Slurm 26.05 names the cgroups of jobs by SLUID, which older exporters do not know (peers C4a, C5)."""
    old_way = seen.cgroup.setting("CgroupJobIdPaths")
    subject = at(seen.cgroup, old_way)
    if (seen.cgroup.get("CgroupPlugin") or "").lower() == "cgroup/v1":
        return
    if not seen.version:
        cause = "Slurm's version is not known; from 26.05 on it names the cgroups of jobs by SLUID"
        yield Finding(NOTE, subject, cause, "With 26.05 or later: cgroup_exporter 0.3.1 or later.")
    elif old_way and (seen.version[:2] < BY_SLUID or BY_SLUID < seen.version < OLD_PATHS):
        cause = f"CgroupJobIdPaths is not known to Slurm {dotted(seen.version)}, it came with 26.05.2"
        yield Finding(ERROR, subject, cause, "Remove the line.")
    elif seen.version[:2] >= BY_SLUID and not _yes(old_way):
        cause = f"Slurm {dotted(seen.version)} names the cgroups of jobs by SLUID, not by job id"
        remedy = "cgroup_exporter 0.3.1 or later; or CgroupJobIdPaths=yes in cgroup.conf (from 26.05.2 on)."
        yield Finding(WARNING, subject, cause, remedy)


def one_slurmd(seen: Seen) -> Iterator[Finding]:
    """With several slurmd on a host the cgroups lie elsewhere: slurm_NODE, NODE_slurmstepd.scope (bcm-facts §5.3)."""
    hosts: dict[str, Setting] = {}
    for setting in seen.slurm.of("NodeName"):
        told = setting.options.get("nodehostname")
        if told and (told.lower() in hosts or _count(setting.value) > _count(told)):
            cause = (
                f"has several slurmd on {told}: the cgroups of jobs carry the node's name, where exporters do not look"
            )
            yield Finding(WARNING, setting.where, cause, "Have one slurmd a host, as BCM does.")
            return  # one node or a thousand, it is one thing to mend
        if told:
            hosts[told.lower()] = setting


def _yes(setting: Optional[Setting]) -> bool:
    return setting is not None and setting.value.lower() in YES


def _count(nodes: str) -> int:
    try:
        return len(expand(nodes))
    except RangeError:
        return 1
