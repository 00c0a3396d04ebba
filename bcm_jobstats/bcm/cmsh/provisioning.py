"""What cmsh tells of nodes and their provisioning: `device status`, `provisioningstatus` (bcm-facts §1.7)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

from bcm_jobstats.bcm.cmsh import answers, imagescripts
from bcm_jobstats.bcm.cmsh.talk import Talk
from bcm_jobstats.bcm.errors import Refused, Unreadable
from bcm_jobstats.bcm.imagework import NodeStatus
from bcm_jobstats.site.noderange import RangeError, expand

STATUS = re.compile(r"^(\S+?)\s*\.+\s*\[\s*(.*?)\s*\]\s*(.*)$")
REMARK = re.compile(r"\([^)]*\)|[^,()]+")
"""`restart-required, health check failed` and `(hostname changed) restart-required`."""
LIMIT = re.compile(r"^\s*Maximum number of nodes provisioning: *(\d+)\s*$")
SLOTS = re.compile(r"^\s*(?:Max number of provisioning nodes:|Slots: *\d+ */) *(\d+)\s*$")
NODES = re.compile(
    r"^\s*(?:Nodes waiting to be provisioned|Nodes currently being provisioned|Pending request|Active nodes):(.*)$"
)
NONE = "<none>"
LONG = 6 * 3600.0
"""Seconds that the copy of an image (tens of GB) or the sync of many nodes may take at least."""
POLL_LEAST, POLL_MOST = 1.0, 10.0
"""Seconds between two looks at the provisioning system."""
CALM = 2
"""How often in a row nodes have to be seen idle: one look may come before CMDaemon has taken up the work."""


@dataclass(frozen=True)
class Provisioning:
    """How many nodes are provisioned at a time (None: not told), and those that are now or wait for it."""

    slots: Optional[int]
    busy: frozenset[str]


def status(lines: Sequence[str]) -> dict[str, NodeStatus]:
    """node -> status from the answer to `device status`; raises Unreadable for a line of another form."""
    found: dict[str, NodeStatus] = {}
    for line in lines:
        match = STATUS.match(line)
        if match is None:
            if line.strip():
                raise Unreadable("device status", f"cmsh printed something else: {line.strip():.100}", answers.AGAIN)
            continue
        name, state, rest = match.groups()
        if name in found:
            raise Unreadable("device status", f"cmsh printed {name} twice", answers.AGAIN)
        remarks = (remark.strip() for remark in REMARK.findall(rest))
        found[name] = NodeStatus(state, tuple(remark for remark in remarks if remark))
    return found


def provisioning(lines: Sequence[str]) -> Provisioning:
    """The answer to `provisioningstatus`, either layout; raises Unreadable when it names neither slots nor nodes."""
    slots = [int(match.group(1)) for line in lines if (match := SLOTS.match(line))]
    limits = [int(match.group(1)) for line in lines if (match := LIMIT.match(line))]
    lists = [match.group(1) for line in lines if (match := NODES.match(line))]
    if not (slots or lists):
        told = " / ".join(line.strip() for line in lines if line.strip())
        cause = f"cmsh printed something else: {told:.200}"
        raise Unreadable("softwareimage provisioningstatus", cause, answers.REPORT)
    busy = frozenset(name for text in lists for name in _names(text))
    return Provisioning(min([sum(slots), *limits]) if slots else None, busy)


def ask(talk: Talk) -> Provisioning:
    """What the provisioning system does now."""
    return provisioning(talk.lines(imagescripts.PROVISIONING))


def wait(talk: Talk, nodes: Collection[str], work: str) -> None:
    """Until BCM provisions none of `nodes`; raises Refused when it does so for hours."""
    from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_exponential

    calm = 0

    def busy() -> bool:
        nonlocal calm
        calm = 0 if ask(talk).busy.intersection(nodes) else calm + 1
        return calm < CALM

    pause = wait_exponential(multiplier=POLL_LEAST, min=POLL_LEAST, max=POLL_MOST)
    try:
        Retrying(retry=retry_if_result(bool), stop=stop_after_delay(LONG), wait=pause)(busy)
    except RetryError as error:
        cause = f"has not ended within {LONG / 3600:g} hours"
        raise Refused(work, cause, "Check `softwareimage provisioningstatus` in cmsh.") from error


def _names(text: str) -> Iterator[str]:
    """The nodes of a list such as `node001, node003..node005`; a word that is no node range stands for itself."""
    for word in text.replace(NONE, " ").replace(",", " ").split():
        try:
            yield from expand(word)
        except RangeError:
            yield word
