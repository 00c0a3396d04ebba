"""Rows of cmsh's tables as entities: whatever is odd, cut, or there twice is an error that names the object."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Callable, Optional, TypeVar

from bcm_jobstats.bcm.cmsh import answers
from bcm_jobstats.bcm.cmsh.answers import Row, cell
from bcm_jobstats.bcm.entities import Category, Node, Overlay, Service, SoftwareImage, WlmCluster
from bcm_jobstats.bcm.errors import Unreadable
from bcm_jobstats.site.noderange import expand

T = TypeVar("T")
YES, NO = {"yes", "1", "on", "true"}, {"no", "0", "off", "false"}
"""How booleans may be written (bcm-facts §1.2)."""
SEVERAL = {"nodes": re.compile(r",|\[|\.\.|^\s|\s$"), "categories": re.compile(r",|^\s|\s$")}
"""What makes a name look like a list of names, where lists are printed."""
Known = Optional[Collection[str]]
"""Names that may be referred to; None: nobody knows them here."""


def named(rows: Sequence[Row], fields: Sequence[str], made: Callable[[Row], T]) -> dict[str, T]:
    """What is made of each row, by the first of the table's columns `fields`, its key.

    Raises Unreadable for other columns, and when two rows have one name or one has none.
    """
    found: dict[str, T] = {}
    for row in rows:
        name = cell(row, fields[0])
        if not name or name in found or row.keys() != set(fields):
            cause = (
                f"cmsh lists it twice as a {fields[0]}"
                if name in found
                else f"cmsh lists odd columns: {', '.join(row)}"
            )
            raise Unreadable(repr(name), cause if name else f"cmsh lists a {fields[0]} without a name", answers.REPORT)
        found[name] = made(row)
    return found


def overlay(row: Row, categories: Known = None, nodes: Known = None) -> Overlay:
    """A configuration overlay (bcm-facts §1.7)."""
    try:
        return Overlay(
            cell(row, "name"),
            int(cell(row, "priority")),
            yes(row, "allheadnodes"),
            tuple(sorted(_members(row, "nodes", expand, nodes))),
            tuple(sorted(_members(row, "categories", _split, categories))),
            cell(row, "revision"),
        )
    except ValueError as error:
        raise Unreadable(f"overlay {row['name']}", f"cmsh printed something odd: {error}", answers.REPORT) from error


def category(row: Row) -> Category:
    """A category."""
    return Category(cell(row, "name"), cell(row, "softwareimage"))


def image(row: Row) -> SoftwareImage:
    """A software image."""
    return SoftwareImage(cell(row, "name"), cell(row, "path"))


def wlm(row: Row) -> WlmCluster:
    """A workload manager cluster; its type is printed `slurm` or `Slurm` (bcm-facts §1.7)."""
    return WlmCluster(cell(row, "name"), cell(row, "type").lower())


def node(row: Row, images: Collection[str] = ()) -> Node:
    """A device. An inherited image is shown with its source in parentheses (bcm-facts §1.5).

    Raises Unreadable for a name of several lines: what `get hostname` prints could not be told apart later on.
    """
    name, told = cell(row, "hostname"), cell(row, "softwareimage")
    if not name.isprintable():
        remedy = "Rename it in BCM: no line breaks and other invisible characters."
        raise Unreadable(f"device {name!r}", "its name cannot be read back from cmsh", remedy)
    own = "" if "(" in told and told not in images else told
    state = " ".join(cell(row, "status").replace("[", " ").replace("]", " ").split())
    return Node(name, cell(row, "type"), cell(row, "category"), own, state)


def service(row: Row) -> Service:
    """A service (bcm-facts §3.3)."""
    return Service(cell(row, "service"), yes(row, "monitored"), yes(row, "autostart"), cell(row, "revision"))


def yes(row: Row, name: str) -> bool:
    """A boolean; raises Unreadable for any other word."""
    word = cell(row, name).lower()
    if word not in YES | NO:
        raise Unreadable("cmsh", f"printed {word!r:.60} as {name}, which is neither yes nor no", answers.REPORT)
    return word in YES


def _members(row: Row, field: str, expanded: Callable[[str], Collection[str]], known: Known) -> Collection[str]:
    """The names in a cell. ValueError when one is not known, or when a known one could be read as several."""
    text = cell(row, field)
    names = expanded(text) if text else ()
    unknown = [name for name in names if known is not None and name not in known]
    if unknown:
        raise ValueError(f"its {field} are {text!r:.80}, and cmsh lists none called {unknown[0]!r}")
    doubtful = [name for name in known or () if SEVERAL[field].search(name) and name in text]
    if doubtful:
        raise ValueError(f"its {field} are {text!r:.80}, which may mean one called {doubtful[0]!r} or several")
    return names


def _split(text: str) -> list[str]:
    return [name for name in (part.strip() for part in text.split(",")) if name]
