"""`foreach`: the same commands for many objects (bcm-facts §1.6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.noderanges import expand, natural
from bcm_jobstats.simulator.options import options
from bcm_jobstats.simulator.places import Level
from bcm_jobstats.simulator.session import Session, command, split

Words = tuple[str, ...]
BATCH = 200
"""How many pieces of output are sent together: a message each would make 10,000 nodes slow."""

_OPTIONS = {
    "nodes=": "n",
    "category=": "c",
    "overlay=": "e",
    "role=": "l",
    "image=": "m",
    "type=": "t",
    "status=": "s",
    "group=": "g",
    "rack=": "r",
    "chassis=": "h",
    "clone=": "o",
    "add": "a",
    "quitonunknown": "q",
    "union": "u",
    "intersection": "i",
    "verbose": "v",
}


@command("foreach")
def foreach(session: Session, words: Words) -> None:
    """Run commands on several objects: ``foreach -l slurmclient (get hostname)``, ``foreach * (show)``."""
    chosen, rest = options(words, _OPTIONS)
    levels, places = session.places.levels, session.places
    base = [*levels[:-1], Level(places.here.mode)]
    commands = split(session.loop_body)
    places.levels = base
    unknown = False
    try:
        if "clone" in chosen or "add" in chosen:
            names = _made(session, chosen, [*chosen.get("nodes", "").split(), *rest])
        else:
            names, unknown = _objects(session, chosen, rest)
        _run(session, base, names, commands)
    finally:
        places.levels = levels
    session.failed = session.failed or unknown


def _made(session: Session, chosen: dict[str, str], words: Iterable[str]) -> list[str]:
    """New objects to run the commands for: copies of one (-o), or empty ones (-a) of the type told with -t."""
    names, places = expand(words, session.read_file), session.places
    base = places.levels
    for name in names:
        places.levels = base
        if "clone" in chosen:
            session.execute(("clone", chosen["clone"], name))
        else:
            session.execute(("add", *([chosen["type"]] if "type" in chosen else []), name))
    places.levels = base
    return names


def _run(session: Session, base: list[Level], names: Iterable[str], commands: list[str]) -> None:
    kept: list[str] = []
    for name in names:
        session.places.levels = [*base[:-1], Level(base[-1].mode, name)]
        with session.kept(kept):
            _one(session, commands)
        if len(kept) > BATCH:
            session.write("".join(kept))
            kept.clear()
        if session.failed and session.quit_on_error:
            break
    session.write("".join(kept))


def _one(session: Session, commands: Iterable[str]) -> None:
    for text in commands:
        session.run_command(text)
        if session.failed and session.quit_on_error:
            return


def _objects(session: Session, chosen: dict[str, str], names: Iterable[str]) -> tuple[list[str], bool]:
    """The objects in order: those of all groupings together, or only those that are in every one (-i).

    A name that is unknown is told, and with -q nothing is run (what cmsh does without -q is an assumption).
    """
    entries = session.places.entries()
    unknown = False
    sets: list[set[str]] = [_group(session, name, value) for name, value in chosen.items() if name in GROUPS]
    plain = list(names)
    if plain:
        told = list(entries) if plain == ["*"] else expand(plain, session.read_file)
        known = [name for name in told if name in entries]
        for name in told:
            if name in entries:
                continue
            error = messages.no_such(session.places.what(), name)
            if "quitonunknown" in chosen or not (known or sets):
                raise error
            session.tell_error(error)
            unknown = True
        if not sets:
            return (sorted(known, key=natural) if plain == ["*"] else known), unknown
        sets.append(set(known))
    if not sets:
        raise messages.usage("foreach [options] <names> (commands)")
    both = set.intersection if "intersection" in chosen else set.union
    return sorted(both(*sets), key=natural), unknown


def _group(session: Session, grouping: str, value: str) -> set[str]:
    if session.places.here.mode != "device":
        raise messages.wrong_mode(f"foreach --{grouping}")
    return {name for one in value.split(",") for name in GROUPS[grouping](session, one)}


def _by_value(field: str) -> Callable[[Session, str], Iterable[str]]:
    def members(session: Session, value: str) -> Iterable[str]:
        devices = session.places.entries()
        return [name for name, device in devices.items() if str(device.values.get(field, "")) == value]

    return members


def _overlay(session: Session, name: str) -> Iterable[str]:
    state = session.daemon.state
    overlay = state.table("configurationoverlay").get(name)
    if overlay is None:
        raise messages.no_such("overlay", name)
    return state.resolver.members(overlay)


def _type(session: Session, kind: str) -> Iterable[str]:
    return [name for name, device in session.places.entries().items() if device.kind.lower() == kind.lower()]


def _status(session: Session, status: str) -> Iterable[str]:
    entries = session.places.entries()
    return [name for name in entries if status.upper() in session.daemon.nodes.status(name).split()]


def _node_group(session: Session, name: str) -> Iterable[str]:
    raise messages.no_such("node group", name)  # the simulated cluster has none


@command("range")
def set_range(session: Session, words: Words) -> None:
    """Have the commands that follow run for many objects: ``range -c default`` (bcm-facts §1.6)."""
    chosen, rest = options(words, _OPTIONS)
    places = session.places
    if len(places.levels) != 1 or not words:
        raise messages.usage("range [options] <names>")
    session.ranged, _ = _objects(session, chosen, rest)
    session.go([Level(places.here.mode, range=" ".join(words))])


GROUPS: dict[str, Callable[[Session, str], Iterable[str]]] = {
    "nodes": lambda session, value: expand([value], session.read_file),
    "category": _by_value("category"),
    "overlay": _overlay,
    "role": lambda session, value: session.daemon.state.resolver.with_role(value),
    "image": lambda session, value: [n for n in session.places.entries() if session.daemon.nodes.image_of(n) == value],
    "type": _type,
    "status": _status,
    "rack": _by_value("rack"),
    "chassis": _by_value("chassis"),
    "group": _node_group,
}
"""The groupings of device mode by option."""
