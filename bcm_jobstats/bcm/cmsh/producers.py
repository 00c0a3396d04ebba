"""Monitoring data producers in cmsh: what is sent and how the answers are read (bcm-facts §9, AM11 App. L)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Optional

from bcm_jobstats.bcm.cmsh import answers
from bcm_jobstats.bcm.cmsh.answers import cell
from bcm_jobstats.bcm.cmsh.reading import listing
from bcm_jobstats.bcm.cmsh.scripts import command, one
from bcm_jobstats.bcm.entities import CATEGORY, NODE, OVERLAY, Place, Producer
from bcm_jobstats.bcm.errors import Unreadable

SETUP = "monitoring setup"
PROMETHEUS = "prometheus"
MEMBERS = {OVERLAY: "overlays", CATEGORY: "categories", NODE: "nodes"}
"""The property of a filter that names its members: `nodes` is in a transcript, the others by analogy (AM11 App. L)."""
FIELDS = ("name", "type", "revision")
FILTER_FIELDS = ("name", "type", "filter")
LIST = [SETUP, listing(*FIELDS)]
LIST_FILTERS = listing(*FILTER_FIELDS)


def save(before: Optional[Producer], after: Producer) -> list[str]:
    """Commands that create or change a producer and commit."""
    script = [SETUP, command("use", after.name) if before else command("add prometheus", after.name)]
    script.append(" ".join(["set urls", *map(one, after.urls)]))
    script.append(command("set revision", after.revision) if after.revision else "clear revision")
    script.append("nodeexecutionfilters")
    old = before.places if before else ()
    script += [command("remove", _name(where)) for where in old if where not in after.places]
    for where in after.places:
        if where not in old:
            script += [
                command(f"add {where.kind}", _name(where)),
                f"set {MEMBERS[where.kind]} {one(where.name)}",
                "..",
            ]
    return [*script, "commit"]


def remove(name: str) -> list[str]:
    """Commands that remove a producer and commit."""
    return [SETUP, command("remove", name), "commit"]


def names(text: str) -> dict[str, str]:
    """Name -> revision of the producers that sample Prometheus exporters, from the answer to LIST."""
    rows = answers.shaped(text, FIELDS)[0]
    return {cell(row, "name"): cell(row, "revision") for row in rows if PROMETHEUS in cell(row, "type").lower()}


def fields_query(wanted: Sequence[str]) -> list[str]:
    """Commands that print urls and filters of producers, each after its name."""
    script: list[str] = []
    for name in wanted:
        script += ["home", SETUP, command("use", name), "get name", "get urls", "nodeexecutionfilters", LIST_FILTERS]
    return script


def producers(revisions: Mapping[str, str], wanted: Sequence[str], text: str) -> dict[str, Producer]:
    """Producers from the answer to `fields_query`; raises Unreadable when one of `wanted` was not answered for."""
    found: dict[str, Producer] = {}
    left = list(wanted)
    current: Optional[Producer] = None
    for item in answers.before_version(answers.items(text)):
        if left and item == left[0]:
            current = Producer(left.pop(0), revision=revisions[str(item)])
        elif current is None:
            raise Unreadable("monitoring data producers", f"cmsh did not tell of {wanted[0]}: {item}", answers.REPORT)
        elif isinstance(item, str):
            current = replace(current, urls=(*current.urls, *item.replace(",", " ").split()))
        else:
            # A filter that an administrator added has another name than ours get, and is left alone.
            ours = (_place(row) for row in item if cell(row, "name") == _name(_place(row)))
            current = replace(current, places=tuple(sorted(ours, key=str)))
        found[current.name] = current
    if left:
        raise Unreadable("monitoring data producers", f"cmsh did not tell of {left[0]}", answers.REPORT)
    return found


def _name(where: Place) -> str:
    return f"{where.kind}-{where.name}"


def _place(row: answers.Row) -> Place:
    return Place(cell(row, "type").lower(), cell(row, "filter"))
