"""How much memory a node of the lab takes."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from bcm_jobstats.simulator.lab.controlgroups import MOUNT, ControlGroups


def used(groups: ControlGroups, node: str) -> Optional[int]:
    """Bytes that the kernel charges to a node's control group; None when it is off or nobody counts.

    Programs, tmpfs and the kernel's own share are in it. The cache of files is not: it is taken back when it is needed,
    and what nodes share is charged to the one that read it first.
    """
    try:
        group = MOUNT / "memory" / groups.name / node
        if group.is_dir():  # cgroup v1
            stat = _numbers(group / "memory.stat")
            files = stat["total_cache"] - stat["total_shmem"]
            return int((group / "memory.usage_in_bytes").read_text()) - files
        group = MOUNT / groups.name / node
        stat = _numbers(group / "memory.stat")
        return int((group / "memory.current").read_text()) - (stat["file"] - stat["shmem"])
    except (OSError, KeyError):
        return None


def _numbers(file: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in file.read_text().splitlines())}
