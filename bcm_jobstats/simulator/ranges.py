"""`range`: one place for many objects, so that each command is run for all of them (bcm-facts §1.3, §1.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bcm_jobstats.simulator.places import Level
    from bcm_jobstats.simulator.session import Session

ONCE = frozenset(("commit", "exit", "goto", "help", "home", "modified", "path", "quit", "range", "refresh", "validate"))
"""Commands that are about the range as a whole."""


def each(session: Session, words: Sequence[str]) -> None:
    """Run a command for every object of the range, and be afterwards where it led for the first of them."""
    places = session.places
    top, *below = places.levels
    led: list[Level] = below
    try:
        for number, name in enumerate(session.ranged):
            places.levels = [replace(top, chosen=name, range=""), *below]
            session.execute(words)
            led = led if number else places.levels[1:]
    finally:
        places.levels = [top, *led]
