"""Checks of slurm.conf as a whole: can Slurm read it, is the cluster's name the label, does Slurm keep accounts."""

from __future__ import annotations

from collections.abc import Iterator

from bcm_jobstats.slurm.findings import ERROR, WARNING, Finding, Seen, at

SEVERAL = {
    *("downnodes", "frontendname", "nodename", "nodeset", "partitionname", "poweraction", "slurmctldhost"),
    *("prolog", "epilog", "prologslurmctld", "epilogslurmctld"),
}
"""Keys of slurm.conf that may stand several times, or have more settings on their line (slurm.conf(5))."""
LOOKED_AT = (
    *("ClusterName", "JobAcctGatherType", "ProctrackType", "TaskPlugin", "PrologFlags", "AccountingStorageTRES"),
    *("AccountingStorageType", "SelectType", "SelectTypeParameters", "GresTypes"),
    *("MessageTimeout", "PrologEpilogTimeout", "PrologTimeout", "EpilogTimeout"),
)
"""The keys that the other checks go by."""


def readable(seen: Seen) -> Iterator[Finding]:
    """Lines that Slurm's daemons would stop at when they are next started."""
    for conf in (seen.slurm, seen.gres, seen.cgroup):
        for odd in conf.odd:
            yield Finding(ERROR, f"{odd.file}:{odd.line}", odd.cause, "Mend the line before Slurm is started again.")
    for setting in seen.slurm.settings:
        if setting.options and setting.key.lower() not in SEVERAL:
            cause = f"{setting.key} is followed by other settings on its line; Slurm takes one a line"
            yield Finding(WARNING, setting.where, cause, "Give each a line of its own.")


def duplicates(seen: Seen) -> Iterator[Finding]:
    """BCM's manual: duplicate parameters break slurmd (peers C9); Slurm itself says that the last one counts."""
    for key in LOOKED_AT:
        counts = seen.slurm.setting(key)
        other = [setting for setting in seen.slurm.of(key) if counts and setting.value != counts.value]
        if counts and other:
            cause = f"{key} stands here and in {other[0].where}; Slurm takes this one, {counts.value}"
            yield Finding(WARNING, counts.where, cause, "Remove the one that is not meant, outside BCM's section.")


def cluster_name(seen: Seen) -> Iterator[Finding]:
    """Slurm folds the name to small letters; jobstats asks for series whose label `cluster` equals it (peers C1)."""
    setting = seen.slurm.setting("ClusterName")
    wanted = seen.site.cluster
    if setting is None:
        yield Finding(ERROR, str(seen.slurm.path), "does not set ClusterName", f"ClusterName={wanted}")
    elif setting.value.lower() != wanted:
        cause = f"ClusterName is {setting.value}, and the label `cluster` of every series is {wanted}"
        yield Finding(ERROR, setting.where, cause, f"cluster: {setting.value.lower()} in the site file.")


def accounting(seen: Seen) -> Iterator[Finding]:
    """jobstats asks sacct about every job, and for GPUs only when its allocation names gres/gpu (peers C1, B6)."""
    kept = seen.slurm.setting("AccountingStorageType")
    if kept is None or not kept.value.lower().endswith("slurmdbd"):
        cause = "Slurm keeps no accounts (AccountingStorageType), and jobstats JOBID asks sacct about each job"
        remedy = "Assign the role slurmaccounting in BCM, which brings slurmdbd."
        yield Finding(ERROR, at(seen.slurm, kept), cause, remedy)
    elif "gpu" in seen.words("GresTypes") and "gres/gpu" not in seen.words("AccountingStorageTRES"):
        tres = seen.slurm.setting("AccountingStorageTRES")
        cause = f"AccountingStorageTRES {'has no gres/gpu' if tres else 'is not set'}: jobs have no GPUs for sacct"
        remedy = f"Add gres/gpu. BCM manages the list, by a name not known here: cmsh: wlm; use {seen.wlm}; show"
        yield Finding(ERROR, at(seen.slurm, tres), cause, remedy)
