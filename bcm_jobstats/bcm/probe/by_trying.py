"""Questions that only a change can answer, tried on an overlay of our own that BCM ignores and that is removed again.

Its priority is -1 (bcm-facts §2), and it has no roles: nothing on any node can follow from it.
"""

from __future__ import annotations

from collections.abc import Iterator

from bcm_jobstats.bcm import capabilities as doubts
from bcm_jobstats.bcm.capabilities import Capability
from bcm_jobstats.bcm.cmsh.adapter import CmshBcm
from bcm_jobstats.bcm.cmsh.scripts import at, can_be_sent, command
from bcm_jobstats.bcm.entities import IGNORED_PRIORITY, OVERLAY, Overlay, Place
from bcm_jobstats.bcm.probe.answer import UNKNOWN, Answer, first
from bcm_jobstats.bcm.probe.prober import Prober
from bcm_jobstats.errors import JobstatsError

NAME = "bcm-jobstats-probe"
TEXT = "bcm-jobstats, tried"


def ask(prober: Prober) -> Iterator[tuple[Capability, Answer]]:
    """Make the overlay, ask, remove it. Raises a JobstatsError when it cannot be made, or not removed."""
    bcm = CmshBcm(prober.cmsh, prober.access.timeout, prober.access.options)
    if NAME in bcm.read().overlays:
        bcm.remove_overlay(NAME)
    scratch = Overlay(NAME, IGNORED_PRIORITY)
    try:
        bcm.save_overlay(None, scratch)
        yield doubts.UNCOMMITTED, _uncommitted(prober, bcm)
        yield doubts.FREE_REVISION, _took(bcm, scratch, Overlay(NAME, IGNORED_PRIORITY, revision=TEXT))
        yield from _lists(prober, bcm)
    finally:
        bcm.remove_overlay(NAME)


def _uncommitted(prober: Prober, bcm: CmshBcm) -> Answer:
    prober.ask([*at(Place(OVERLAY, NAME)), command("set revision", TEXT)])
    kept = bcm.read().overlays[NAME].revision == TEXT
    if kept:
        bcm.save_overlay(Overlay(NAME, IGNORED_PRIORITY, revision=TEXT), Overlay(NAME, IGNORED_PRIORITY))
    return Answer("keep" if kept else "discard", "a revision that was set and not committed")


def _took(bcm: CmshBcm, before: Overlay, after: Overlay) -> Answer:
    try:
        bcm.save_overlay(before, after)
    except JobstatsError as error:
        return Answer("no", str(error).splitlines()[0])
    return Answer("yes", f"read back as it was set: {after.revision or after.nodes}")


def _lists(prober: Prober, bcm: CmshBcm) -> Iterator[tuple[Capability, Answer]]:
    nodes = tuple(sorted(name for name, node in prober.cluster.nodes.items() if can_be_sent(name) and not node.is_head))
    there = bcm.read().overlays[NAME]
    some = Overlay(NAME, IGNORED_PRIORITY, nodes=nodes[:4], revision=there.revision)
    if len(nodes) < 4:
        yield doubts.GET_NODES, Answer(UNKNOWN, "there are not four nodes")
        return
    bcm.save_overlay(there, some)
    told = prober.ask([*at(Place(OVERLAY, NAME)), "get nodes"]).text
    yield doubts.GET_NODES, Answer("ranges" if ".." in told or "[" in told else "names", first(told))
    yield doubts.CLEAR_EMPTIES_LISTS, _took(bcm, some, Overlay(NAME, IGNORED_PRIORITY, revision=there.revision))
