"""All checks of Slurm's configuration: does it let job statistics work?"""

from __future__ import annotations

from collections.abc import Iterator

from bcm_jobstats.slurm import check_cgroups, check_conf, check_gpus, check_hooks, check_select, check_spool
from bcm_jobstats.slurm.findings import Check, Finding, Seen

CHECKS: tuple[Check, ...] = (
    check_conf.readable,
    check_conf.duplicates,
    check_conf.cluster_name,
    check_conf.accounting,
    check_select.select_words,
    check_cgroups.gathering,
    check_cgroups.tracking,
    check_cgroups.tasks,
    check_cgroups.cores,
    check_cgroups.memory,
    check_cgroups.memory_is_allocated,
    check_cgroups.names_of_cgroups,
    check_cgroups.one_slurmd,
    check_gpus.order,
    check_hooks.prolog_flags,
    check_hooks.dispatcher,
    check_hooks.patience,
    check_spool.spool,
)


def findings(seen: Seen) -> Iterator[Finding]:
    """What every check finds, in their order."""
    for check in CHECKS:
        yield from check(seen)
