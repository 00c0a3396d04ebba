"""Commands that move: use, exit, home, goto, path, quit; and those about cmsh itself."""

from __future__ import annotations

import re

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.places import Level
from bcm_jobstats.simulator.session import COMMANDS, QuitError, Session, command

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
    if levels[-1].chosen is None or (submode is not None and submode.single):
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
        steps.append(level.mode)
        if level.chosen and level.chosen != level.mode:
            steps.append(f"use {level.chosen}" if _PLAIN.match(level.chosen) else f'use "{level.chosen}"')
    session.write("".join(step + ";" for step in steps) + "\n")


@command("quit")
def leave_cmsh(session: Session, words: Words) -> None:
    """End the session."""
    del session, words
    raise QuitError


@command("color", "quitconfirmation", "groupingsyntax", "connect", "disconnect", "watch")
def accept(session: Session, words: Words) -> None:
    """Settings of the display, accepted; the simulator prints no colours anyway."""
    del session, words


@command("delimiter")
def delimiter(session: Session, words: Words) -> None:
    """Show or set the delimiter of `list`."""
    if words:
        session.delimiter = words[0]
    else:
        session.write(f"{session.delimiter}\n")


@command("events")
def events(session: Session, words: Words) -> None:
    """Show events or not: ``events on``, ``events off``."""
    if words not in (("on",), ("off",)):
        raise messages.usage("events on|off")
    session.show_events = words == ("on",)


@command("help")
def help_text(session: Session, words: Words) -> None:
    """The commands there are."""
    known = [name for name in sorted(COMMANDS) if not words or name == words[0]]
    if not known:
        raise messages.unknown_command(words[0])
    for name in known:
        told = (COMMANDS[name].__doc__ or "").splitlines()[0]
        session.write(f"{name + ' ':.<24} {told}\n")
