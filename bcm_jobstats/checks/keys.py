"""Private keys of BCM's certificates: whoever can read one has the rights of its profile (design §2.4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from bcm_jobstats.bcm.keys import OTHERS
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.slurm.findings import ERROR, Finding
from bcm_jobstats.stack import agent

ON_THE_HEAD = ("root/.cm/*.key", "etc/bcm-jobstats/*.key")
SHARED = "cm/shared/apps/jobstats/**/*.key"
SEED = "cm/images/*/etc/bcm-role-monitor"
"""Where seed 4 has a copy of the administrator's certificate and key on every node, and so in images (peers A4 4.3)."""
ELSEWHERE = (
    "cm/images/*/root/.cm/admin.key",
    "cm/images/*/etc/bcm-jobstats/*.key",
    *(f"{SEED}/*.{suffix}" for suffix in ("key", "pfx", "p12")),
)
"""In images, no key of a head's administrator, nor of ours, has any business."""


def findings(root: Path, configured: Optional[Path]) -> Iterator[Finding]:
    """Keys that others can read, and keys where none may be; `configured` is the one that the site file names."""
    found = {path for pattern in ON_THE_HEAD for path in root.glob(pattern)}
    agents = root / agent.KEY.lstrip("/")
    found |= {configured} if configured and configured.exists() else set()
    found |= {agents} if exists(agents) else set()
    for path in sorted(found):
        problem = readable_by_others(path)
        if problem:
            yield Finding(ERROR, *problem.args)
    shared = {path for path in root.glob(SHARED) if path != agents}
    for path in sorted(shared.union(*(root.glob(pattern) for pattern in ELSEWHERE))):
        remedy = f"Remove it, and revoke its certificate (cmsh: cert): rm {path}"
        yield Finding(ERROR, str(path), "is a private key where nodes can get it", remedy)


def readable_by_others(path: Path) -> Optional[JobstatsError]:
    """The problem with the mode of one key."""
    if path.stat().st_mode & OTHERS:
        return JobstatsError(str(path), "is a private key that others can read", f"chmod 600 {path}")
    return None


def exists(path: Path) -> bool:
    """Whether a file is there, as far as we may look."""
    try:
        return path.exists()
    except PermissionError:
        return False  # the agents' folder is theirs and root's
