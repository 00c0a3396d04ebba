"""Private keys of BCM's certificates: whoever can read one has the rights of its profile (design §2.4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from bcm_jobstats.bcm.keys import OTHERS
from bcm_jobstats.errors import JobstatsError

ON_THE_HEAD = ("root/.cm/*.key", "etc/bcm-jobstats/*.key")
ELSEWHERE = ("cm/images/*/root/.cm/admin.key", "cm/images/*/etc/bcm-jobstats/*.key", "cm/shared/apps/jobstats/**/*.key")
"""Nodes and shared storage: no key of a head's administrator, nor of ours, has any business there."""


def problems(root: Path, configured: Optional[Path]) -> Iterator[JobstatsError]:
    """Keys that others can read, and keys where none may be."""
    found = {path for pattern in ON_THE_HEAD for path in root.glob(pattern)}
    for path in sorted(found | ({configured} if configured and configured.exists() else set())):
        problem = readable_by_others(path)
        if problem:
            yield problem
    for path in sorted({path for pattern in ELSEWHERE for path in root.glob(pattern)}):
        remedy = f"Remove it, and revoke its certificate (cmsh: cert): rm {path}"
        yield JobstatsError(str(path), "is a private key where nodes can get it", remedy)


def readable_by_others(path: Path) -> Optional[JobstatsError]:
    """The problem with the mode of one key."""
    if path.stat().st_mode & OTHERS:
        return JobstatsError(str(path), "is a private key that others can read", f"chmod 600 {path}")
    return None
