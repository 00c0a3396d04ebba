"""Check of the words in SelectTypeParameters: with one that it does not know Slurm starts on no node."""

from __future__ import annotations

from collections.abc import Iterator

from bcm_jobstats.site import selecttypes
from bcm_jobstats.slurm import selecting
from bcm_jobstats.slurm.findings import ERROR, Finding, Seen, by_cmsh


def select_words(seen: Seen) -> Iterator[Finding]:
    """A Slurm that runs read the line before it was changed so, or its daemons are down already."""
    setting = seen.slurm.setting("SelectTypeParameters")
    if setting is None:
        return
    remedy = by_cmsh(seen, "set selecttypeparameters WORDS")
    told = selecttypes.words(setting.value)
    for word in told:
        if selecttypes.spelled(word) is None:
            cause = f"SelectTypeParameters has {word!r}, which is no word of it: {selecting.ENDS}"
            yield Finding(ERROR, setting.where, cause, f"{selecttypes.meant(word)} {remedy}")
    known = ",".join(word for word in told if selecttypes.spelled(word))
    for cause in selecting.refusals(known, seen.version, seen.slurm.get("SelectType") or ""):
        yield Finding(ERROR, setting.where, f"SelectTypeParameters: {cause}; {selecting.ENDS}", remedy)
