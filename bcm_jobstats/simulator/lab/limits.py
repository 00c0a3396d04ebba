"""A limit of this machine that is too low for many nodes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

INSTANCES = 2048
"""Five per node, its systemd and its bus, for the largest lab, and as many for others. Linux grants 128."""
_SETTING = Path("/proc/sys/fs/inotify/max_user_instances")


def lift(tell: Callable[[str], None]) -> None:
    """Let there be enough inotify instances for all nodes: without one, a node's systemd does not boot.

    They are counted per user of the machine, whose setting this is: it stays, as other labs may rely on it.
    """
    with suppress(OSError, ValueError):
        granted = int(_SETTING.read_text(encoding="ascii"))
        if granted < INSTANCES:
            _SETTING.write_text(f"{INSTANCES}\n", encoding="ascii")
            tell(f"fs.inotify.max_user_instances of this machine: {INSTANCES} instead of {granted}")
