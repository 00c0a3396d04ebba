"""Where Slurm's jobs are in the control groups, in either version of them (lab.md sections 1 and 3b)."""

from __future__ import annotations

from .files import names

# Path below the root of a hierarchy, uid (-1: the path does not tell), job, step, task
Group = tuple[str, int, str, str, str]


def groups_v1(root: str) -> list[Group]:
    """The jobs, steps and tasks of the cpuacct hierarchy: <scope>/uid_<n>/job_<n>[/step_<x>[/task_<n>]].

    The real one takes the exact path /slurm. Debian's Slurm, built for several slurmd on one host, names it
    /slurm_<node> (lab.md section 1), which is taken for it here.
    """
    found: list[Group] = []
    top = f"{root}/cpuacct"
    for scope in names(top):
        if scope != "slurm" and not scope.startswith("slurm_"):
            continue
        for user in with_prefix("uid_", names(f"{top}/{scope}")):
            for job in with_prefix("job_", names(f"{top}/{scope}/uid_{user}")):
                path = f"/{scope}/uid_{user}/job_{job}"
                found += steps(top, path, int(user), job, "") if user.isdigit() and job.isdigit() else []
    return found


def groups_v2(root: str) -> list[Group]:
    """The jobs, steps and tasks of the one hierarchy: <scope>/job_<n>[/step_<x>[/user/task_<n>]].

    The real one takes the exact scope system.slice/slurmstepd.scope unless ``--path.slurmstepd.scope`` says another;
    that of Debian's Slurm, <node>_slurmstepd.scope (lab.md section 3b), is taken for it here. From Slurm 26.05 on the
    group of a job may be named by its SLUID, 14 characters, and that is its jobid then (peers C4a).
    """
    found: list[Group] = []
    for scope in names(f"{root}/system.slice"):
        for name in names(f"{root}/system.slice/{scope}") if scope.endswith("slurmstepd.scope") else ():
            sluid = len(name) == 14 and name[0] == "s" and name[1:].isalnum() and name[1:].upper() == name[1:]
            job = name if sluid else name[4:]
            if sluid or (name[:4] == "job_" and job.isdigit()):
                found += steps(root, f"/system.slice/{scope}/{name}", -1, job, "/user")
    return found


def steps(top: str, path: str, uid: int, job: str, between: str) -> list[Group]:
    """The group of a job and those of its steps and tasks; `between` is what lies between a step and its tasks."""
    found: list[Group] = [(path, uid, job, "", "")]
    for step in with_prefix("step_", names(top + path)):
        found.append((f"{path}/step_{step}", uid, job, step, ""))
        for task in with_prefix("task_", names(f"{top}{path}/step_{step}{between}")):
            if task.isdigit() or task == "special":
                found.append((f"{path}/step_{step}{between}/task_{task}", uid, job, step, task))
    return found


def with_prefix(prefix: str, candidates: list[str]) -> list[str]:
    """What follows the prefix in the names that have it."""
    return [name[len(prefix) :] for name in candidates if name.startswith(prefix)]
