"""Entering a mode or a submode, for good or for one command (bcm-facts §1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, Protocol

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.modes import MODES, MONITORING_HOME
from bcm_jobstats.simulator.places import Level, Places


class Mover(Protocol):
    """What a session can do that entering a mode needs."""

    places: Places

    def go(self, levels: list[Level]) -> None:
        """Be somewhere else."""

    def execute(self, words: Sequence[str]) -> None:
        """Run a command."""


def enter_mode(session: Mover, mode: str, rest: tuple[str, ...]) -> None:
    """A bare mode is entered; with a command after it one stays only where that command leads.

    ``device status`` leads nowhere, ``device use node001`` and ``device roles node001`` do. A bare `wlm` leads into
    the only WLM cluster there is (bcm-facts §5.2).
    """
    places = session.places
    old = places.levels
    if mode == "monitoring":
        mode = MONITORING_HOME
    if not rest:
        only = list(places.drafts.table(mode)) if mode == "wlm" else []
        session.go([Level(mode, only[0] if len(only) == 1 else None)])
        return
    session.go([Level(mode)])
    try:
        session.execute(rest)
    except messages.CmshError:
        places.levels = old
        raise
    if places.levels == [Level(mode)]:
        places.levels = old


def enter_submode(places: Places, go: Callable[[list[Level]], None], word: str, rest: tuple[str, ...]) -> bool:
    """Enter a submode: of the object in use, or of the object named after it (``device roles node001``)."""
    levels = places.levels
    if not levels or (len(levels) == 1 and not MODES[levels[0].mode].kinds):
        return False
    chosen = levels[-1].chosen
    if not rest and chosen is None:
        return False
    owner = [*levels[:-1], Level(levels[-1].mode, rest[0] if rest else chosen)]
    entity = places.find(str(owner[-1].chosen), owner)
    if entity is None:
        if rest and chosen is None:
            raise messages.no_such(places.what(), rest[0])
        return False
    submode = places.schema(entity).submodes.get(word)
    if submode is None:
        return False
    go([*owner, Level(word, word if submode.single else None)])
    return True
