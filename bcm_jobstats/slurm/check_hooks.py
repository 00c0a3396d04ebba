"""Checks of whether Slurm runs our prolog and epilog, and has the patience for them."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch

from bcm_jobstats.slurm.findings import ERROR, NOTE, WARNING, Finding, Seen, at, by_cmsh

DISPATCHERS = {"Prolog": "/cm/local/apps/cmd/scripts/prolog", "Epilog": "/cm/local/apps/cmd/scripts/epilog"}
"""BCM's own scripts, which run what is linked into the node's prologs and epilogs (bcm-facts §5.1)."""
LINKS = {
    "Prolog": "/cm/local/apps/slurm/var/prologs/60-prolog-jobstats.sh",
    "Epilog": "/cm/local/apps/slurm/var/epilogs/60-epilog-jobstats.sh",
}
CONTAIN = {"contain", "x11", "runinjob"}
ALLOC = {"alloc", "nohold", "forcerequeueonfail", *CONTAIN}
"""Flags that are Alloc or bring it (slurm.conf(5)). DeferBatch does so by the manual, and not in the code of 24.11."""
WITHOUT_CONTAIN = (
    "PrologFlags has no Contain: nothing on a node tells an allocation without a step from one that ended. So a lost"
    " epilog is healed within a minute only for jobs whose batch step was seen on that node, or once another job takes"
    " the GPU; else after an hour"
)
SEVERAL_PROLOGS = (24, 5)
"""From Slurm 24.05 on several Prolog lines are all run; before, and where the version is not known, the last counts."""
LEAST = 5
"""Seconds that BCM's dispatcher and our two hooks should be given: each hook waits at most 0.8 s for its lock."""


def prolog_flags(seen: Seen) -> Iterator[Finding]:
    """Without Alloc the prolog runs at the first step on a node, which may never come (peers C4a; anchors §5)."""
    if not seen.site.hooks.enabled:
        return
    setting = seen.slurm.setting("PrologFlags")
    flags = seen.words("PrologFlags")
    written = [flag.strip() for flag in setting.value.split(",")] if setting and flags else []
    if not set(flags) & ALLOC:
        cause = f"PrologFlags is {setting.value if setting else 'not set'}, without Alloc: the prolog may never run"
        remedy = by_cmsh(seen, f"set prologflags {','.join([*written, 'Alloc'])}")
        yield Finding(ERROR, at(seen.slurm, setting), f"{cause} on a node, and its GPUs have no job", remedy)
    elif not set(flags) & CONTAIN and "nohold" not in flags:
        remedy = by_cmsh(seen, f"set prologflags {','.join([*written, 'Contain'])}")
        yield Finding(NOTE, at(seen.slurm, setting), WITHOUT_CONTAIN, f"Contain makes it exact. {remedy}")


def dispatcher(seen: Seen) -> Iterator[Finding]:
    """Prolog and Epilog are BCM's, or our links are never run (bcm-facts §5.1; peers C9)."""
    for key, script in DISPATCHERS.items() if seen.site.hooks.enabled else ():
        values = [setting.value for setting in seen.slurm.of(key)]
        values = values[-1:] if seen.version < SEVERAL_PROLOGS else values
        if script in values or any(fnmatch(LINKS[key], value) for value in values):
            continue
        told = f"is {', '.join(values)}: unless that calls {script}" if values else "is not set:"
        cause = f"{key} {told} nothing runs {LINKS[key]}"
        yield Finding(
            ERROR, at(seen.slurm, seen.slurm.setting(key)), cause, by_cmsh(seen, f"set {key.lower()} {script}")
        )


def patience(seen: Seen) -> Iterator[Finding]:
    """A prolog that takes longer drains its node; one that takes longer than a message delays the job (anchors §5)."""
    for key in ("MessageTimeout", "PrologEpilogTimeout", "PrologTimeout", "EpilogTimeout"):
        setting = seen.slurm.setting(key) if seen.site.hooks.enabled else None
        if setting is None:
            continue
        if not setting.value.isdecimal():
            if setting.value.lower() not in {"infinite", "unlimited"}:
                cause = f"{key} is {setting.value}, which is no number of seconds"
                yield Finding(WARNING, setting.where, cause, f"Give it seconds, {LEAST} at least.")
        elif int(setting.value) < LEAST:
            cause = f"{key} is {setting.value} s: a loaded node may take longer for prolog and epilog"
            drains = "" if key == "MessageTimeout" else ", and Slurm drains nodes for that"
            yield Finding(WARNING, setting.where, f"{cause}{drains}", f"{key}={LEAST * 2}, or leave it out.")
