"""Questions about software images and exclude lists."""

from __future__ import annotations

import re

from bcm_jobstats.bcm import capabilities as doubts
from bcm_jobstats.bcm.capabilities import Capability
from bcm_jobstats.bcm.cmsh import imagescripts, reading
from bcm_jobstats.bcm.cmsh.scripts import can_be_sent
from bcm_jobstats.bcm.imagework import UPDATE
from bcm_jobstats.bcm.probe.answer import UNKNOWN, Answer, Question, first, tables
from bcm_jobstats.bcm.probe.prober import Prober

FILTER = re.compile(r"^(no-new-files: *)?([-+#;]|/|exclude|include|merge|dir-merge)")
"""How a line of an exclude list begins: rsync's filter rules, and BCM's own word before them (bcm-facts §6)."""


def _inherited_image(prober: Prober) -> Answer:
    rows = tables(prober.ask([f"device {reading.listing(*reading.NODE_FIELDS)}"]))
    images = {name: one.image for name, one in prober.cluster.categories.items()}
    told = [row.get("softwareimage", "") for table in rows for row in table if row.get("category") in images]
    if any(not one or "(" in one for one in told):
        return Answer(
            "apart", f"{sum(not one or '(' in one for one in told)} of {len(told)} nodes have none of their own"
        )
    return Answer("same" if told else UNKNOWN, f"{len(told)} nodes have a category")


def _excludelist_get(prober: Prober) -> Answer:
    nodes = [one.name for one in prober.cluster.nodes.values() if one.category and can_be_sent(one.name)]
    if not nodes:
        return Answer(UNKNOWN, "no node has a category")
    text = prober.ask(imagescripts.effective_exclude_list(nodes[0], UPDATE)).text
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    odd = [line for line in lines if not FILTER.match(line)]
    return Answer("no" if odd or not lines else "yes", odd[0] if odd else f"{len(lines)} lines for {nodes[0]}")


def _exclude_comments(prober: Prober) -> Answer:
    categories = [name for name in prober.cluster.categories if can_be_sent(name)]
    if not categories:
        return Answer(UNKNOWN, "there is no category")
    text = prober.ask(imagescripts.exclude_lists(categories[0])).text
    comments = [line.strip() for line in text.splitlines() if line.lstrip().startswith("#")]
    return Answer("yes" if comments else UNKNOWN, comments[0] if comments else f"none in the lists of {categories[0]}")


def _synclog(prober: Prober) -> Answer:
    return Answer("recorded", first(prober.ask(["device", "help synclog"], verbatim=True).text))


def _grab_wait(prober: Prober) -> Answer:
    return Answer("recorded", first(prober.ask(["device", "help grabimage"], verbatim=True).text))


QUESTIONS: dict[Capability, Question] = {
    doubts.INHERITED_IMAGE: _inherited_image,
    doubts.EXCLUDELIST_GET: _excludelist_get,
    doubts.EXCLUDE_COMMENTS: _exclude_comments,
    doubts.SYNCLOG: _synclog,
    doubts.GRAB_WAIT: _grab_wait,
}
