"""Check of slurmd's spool: imageupdate must not take away what running jobs are made of."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bcm_jobstats.slurm.findings import WARNING, Finding, Seen

EXCLUDED = ("/var/spool", "/var/log", "/home", "/run", "/cm/shared")
"""Where an imageupdate deletes nothing: by the defaults of excludelistupdate (bcm-facts §6)."""


def spool(seen: Seen) -> Iterator[Finding]:
    """Scripts and credentials of batch jobs lie in SlurmdSpoolDir, by default /var/spool/slurmd (slurm.conf(5)).

    What a node has more than its image is deleted by an imageupdate, unless it is excluded.
    """
    setting = seen.slurm.setting("SlurmdSpoolDir")
    if setting is None or setting.value.startswith(tuple(f"{path}/" for path in EXCLUDED)):
        return
    place = re.sub(r"%.", "*", setting.value.rstrip("/"))
    cause = f"SlurmdSpoolDir is {setting.value}: an imageupdate, which apply runs, may wipe the spool of running jobs"
    remedy = f"Add to excludelistupdate of the nodes' categories: - {place}/*  (no need if it is there already)"
    yield Finding(WARNING, setting.where, cause, remedy)
