"""How long the certificates of ours are still valid, and whether the agents' go with BCM's authority of now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from bcm_jobstats.bcm import validity
from bcm_jobstats.bcm.certificate import MONITOR, PURPOSES
from bcm_jobstats.bcm.choice import Access
from bcm_jobstats.checks.keys import exists
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.slurm.findings import ERROR, WARNING, Finding
from bcm_jobstats.stack import agent

OURS = "etc/bcm-jobstats/*.pem"


def findings(root: Path, access: Access) -> Iterator[Finding]:
    """Certificates that `certificate` made, and the one that the site file names, which ended or soon will."""
    ours = {*root.glob(OURS), *([access.certificate] if access.certificate else [])}
    agents, authority = (root / path.lstrip("/") for path in (agent.CERTIFICATE, agent.CA))
    for path in sorted({*ours, agents}):
        if exists(path):
            yield from _ends(path, MONITOR if path == agents else path.stem)
    both = exists(agents) and exists(authority) and access.ca.is_file()
    if both and authority.read_bytes() != access.ca.read_bytes():
        cause = f"is not BCM's authority of now ({access.ca}), so that the agents may not believe BCM"
        yield Finding(WARNING, str(authority), cause, _renewal(MONITOR))


def _ends(path: Path, purpose: str) -> Iterator[Finding]:
    try:
        left = (validity.ends(path) - datetime.now(timezone.utc)).days
    except JobstatsError as error:
        yield Finding(ERROR, error.subject, error.cause, _renewal(purpose))
        return
    if left < 0:
        yield Finding(ERROR, str(path), "ended: whoever uses it is refused by BCM", _renewal(purpose))
    elif left < validity.SOON:
        yield Finding(WARNING, str(path), f"ends in {left} day{'s' * (left != 1)}", _renewal(purpose))


def _renewal(purpose: str) -> str:
    known = f"--for {purpose} " if purpose in PURPOSES else ""
    return f"Make a new one: bcm-jobstats certificate {known}--force"
