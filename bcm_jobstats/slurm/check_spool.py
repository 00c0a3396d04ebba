"""Check of slurmd's spool: imageupdate must not take away what running jobs are made of."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bcm_jobstats.imaging.excludes import captured
from bcm_jobstats.site.noderange import fold
from bcm_jobstats.slurm.findings import WARNING, Finding, Seen

EXCLUDED = ("/var/spool", "/var/log", "/home", "/run", "/cm/shared")
"""Where an imageupdate deletes nothing: by the defaults of excludelistupdate (bcm-facts §6)."""
DEFAULT = "/var/spool/slurmd"
"""SlurmdSpoolDir where slurm.conf does not name it (slurm.conf(5))."""


def spool(seen: Seen) -> Iterator[Finding]:
    """Scripts and credentials of batch jobs lie in SlurmdSpoolDir (slurm.conf(5)).

    What a node has more than its image is deleted by an imageupdate, unless the category's list excludes it. Where the
    lists are not known, BCM's defaults stand for them.
    """
    setting = seen.slurm.setting("SlurmdSpoolDir")
    told = setting.value if setting else DEFAULT
    place = re.sub(r"%.", "*", told.rstrip("/"))
    where = setting.where if setting else str(seen.slurm.path)
    if seen.excludes:
        job = f"{place.replace('*', 'node')}/job00001"
        bare = sorted(name for name, text in seen.excludes.items() if captured(job, text, is_dir=True))
        if bare:
            cause = f"SlurmdSpoolDir is {told}: an imageupdate, which apply runs, wipes the spool of running jobs"
            remedy = f"Add to excludelistupdate of {'categories' if bare[1:] else 'category'} {fold(bare)}: - {place}/*"
            yield Finding(WARNING, where, cause, remedy)
    elif not told.startswith(tuple(f"{path}/" for path in EXCLUDED)):
        cause = f"SlurmdSpoolDir is {told}: an imageupdate, which apply runs, may wipe the spool of running jobs"
        remedy = f"Add to excludelistupdate of the nodes' categories: - {place}/*  (no need if it is there already)"
        yield Finding(WARNING, where, cause, remedy)
