"""Commands that move: use, exit, home, goto, path."""

from __future__ import annotations

import re

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.modes import MONITORING_HOME
from bcm_jobstats.simulator.places import Level
from bcm_jobstats.simulator.session import QuitError, Session, command

Words = tuple[str, ...]
_PLAIN = re.compile(r"^\w+$")


@command("use")
def use(session: Session, words: Words) -> None:
    """Choose an object of this mode."""
    if len(words) != 1:
        raise messages.usage("use <name>")
    here = session.places.here
    if session.places.find(words[0]) is None:
        raise messages.no_such(session.places.what(), words[0])
    session.go([*session.places.levels[:-1], Level(here.mode, words[0])])


@command("exit")
def leave(session: Session, words: Words) -> None:
    """One step back: from the object to its mode, from the mode to what it lies in; from the top, out."""
    del words
    levels = session.places.levels
    if not levels:
        raise QuitError
    submode = session.places.submode()
    if levels == [Level("monitoring")]:
        session.go([Level(MONITORING_HOME)])
    elif levels[-1].range:
        session.go([Level(levels[-1].mode)])
    elif levels[-1].chosen is None or (submode is not None and submode.single):
        session.go(levels[:-1])
    else:
        session.go([*levels[:-1], Level(levels[-1].mode)])


@command("home")
def home(session: Session, words: Words) -> None:
    """To the top."""
    del words
    session.go([])


@command("goto")
def goto(session: Session, words: Words) -> None:
    """`goto -`: to where the session was before."""
    if words != ("-",):
        raise messages.usage("goto -")
    session.go(session.before)


@command("path")
def path(session: Session, words: Words) -> None:
    """The way here, to paste (bcm-facts §1.2): names are quoted when they hold more than letters and digits."""
    del words
    steps = ["home"]
    for level in session.places.levels:
        steps += level.told.split("->")
        if level.chosen and level.chosen != level.mode:
            steps.append(f"use {level.chosen}" if _PLAIN.match(level.chosen) else f'use "{level.chosen}"')
    session.write("".join(step + ";" for step in steps) + "\n")
