"""Head nodes of a cluster with two: which one this is; only the active one changes anything (bcm-facts §10)."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.errors import ExitStatus, JobstatsError

STATE = "var/spool/cmd/state"
"""CMDaemon keeps the head's state there (bcm-facts §10)."""
STATES = re.compile(r"\b(INIT|FENCING|ACTIVE|PASSIVE|BECOMEACTIVE|BECOMEPASSIVE|UNABLETOBECOMEACTIVE|ERROR)\b")
ACTIVE, PASSIVE, UNKNOWN = "ACTIVE", "PASSIVE", "unknown"
CMHA_PLACES = ("usr/sbin", "usr/bin", "sbin", "bin")
CMHA_SECONDS = 60.0
"""`cmha status` can take half a minute when a head crashed (bcm-facts §10)."""
IS_ACTIVE = re.compile(r"^Node Status: running in (\w+) m", re.MULTILINE)
ARROW = re.compile(r"^(\S+?)(\*?) -> (\S+?)(\*?)\s*$", re.MULTILINE)


class NotActive(JobstatsError):
    """This head node is not the active one. Exit status 75."""

    status = ExitStatus.BUSY


def state(root: Path) -> str:
    """State of the head node under `root`, from CMDaemon's own file; UNKNOWN when there is none."""
    try:
        words = STATES.findall((root / STATE).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return UNKNOWN
    return words[-1] if words else UNKNOWN


def status(root: Path) -> tuple[str, Optional[str]]:
    """(state of this head, name of the active one) as `cmha status` tells; UNKNOWN and None where it does not."""
    cmha = _cmha(root)
    if cmha is None:
        return UNKNOWN, None
    try:
        done = subprocess.run([cmha, "status"], capture_output=True, timeout=CMHA_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN, None
    return understood(done.stdout.decode("utf-8", "replace"))


def understood(text: str) -> tuple[str, Optional[str]]:
    """(state of this head, name of the active one) from what `cmha status` printed (bcm-facts §10)."""
    mine = IS_ACTIVE.search(text)
    arrow = ARROW.search(text)
    active = (arrow.group(1) if arrow.group(2) else arrow.group(3) if arrow.group(4) else None) if arrow else None
    return (mine.group(1).upper() if mine else UNKNOWN), active


def require_active(root: Path, cluster: Optional[Cluster] = None) -> None:
    """Raise NotActive unless this head may change the cluster.

    CMDaemon's state file decides; `cmha` is asked only where that is missing and `cluster` has two heads.
    """
    here, active = state(root), None
    if here == UNKNOWN and cluster is not None and len(names(cluster)) > 1:
        here, active = status(root)
    if here in {ACTIVE, UNKNOWN}:
        return
    active = active or status(root)[1]
    raise NotActive(
        "this head node",
        f"is not the active one (its state is {here})",
        f"Run the same command on the active head{f', {active}' if active else ''}: it goes on there.",
    )


def notes(root: Path) -> Iterator[str]:
    """What a plan made on this head cannot know."""
    here = state(root)
    if here not in {ACTIVE, UNKNOWN}:
        yield f"this head is passive (its state is {here}): nodes get the images of the active one, not those seen here"


def names(cluster: Cluster) -> list[str]:
    """The head nodes."""
    return sorted(node.name for node in cluster.nodes.values() if node.is_head)


def own(root: Path, cluster: Cluster) -> Optional[str]:
    """Which of the cluster's head nodes has its files under `root`; None when that cannot be told."""
    heads = names(cluster)
    if len(heads) == 1:
        return heads[0]
    try:
        text = (root / "etc/hostname").read_text(encoding="utf-8") if root != Path("/") else socket.gethostname()
    except OSError:
        return None
    short = text.strip().split(".")[0].lower()
    return next((name for name in heads if name.lower() == short), None)


def _cmha(root: Path) -> Optional[str]:
    """The head's own `cmha`; with --root never that of another one on PATH."""
    if root == Path("/"):
        return shutil.which("cmha")
    return next((str(root / place / "cmha") for place in CMHA_PLACES if (root / place / "cmha").exists()), None)
