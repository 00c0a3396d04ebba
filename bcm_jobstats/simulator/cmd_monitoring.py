"""Monitoring data producers: ``monitoring setup`` (bcm-facts §9, AM11 §14.1.2 and App. L)."""

from __future__ import annotations

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.entities import Entity, Value
from bcm_jobstats.simulator.modes import MONITORING_HOME
from bcm_jobstats.simulator.noderanges import collapse, natural
from bcm_jobstats.simulator.otherkinds import FILTER
from bcm_jobstats.simulator.places import Level
from bcm_jobstats.simulator.session import Session, command

Words = tuple[str, ...]
SUBMODES = ("nodeexecutionfilters", "executionmultiplexers")


@command("setup")
def setup(session: Session, words: Words) -> None:
    """Enter the producers, or run a command there: ``monitoring setup``."""
    if session.places.levels != [Level(MONITORING_HOME)]:
        raise messages.unknown_command("setup")
    session.go([Level("monitoring")])
    if words:
        session.execute(words)


@command("active")
def active(session: Session, words: Words) -> None:
    """Have a producer run on the active head node only."""
    del words
    places = session.places
    if places.here.mode not in SUBMODES:
        raise messages.wrong_mode("active")
    values: dict[str, Value] = {"name": "active", "resource": ("Active",)}
    places.edit(places.levels[:-1]).within(places.here.mode)["active"] = Entity("Resource" + FILTER, values)
    session.write("Added active resource filter\n")  # literal, bcm-facts §9


@command("nodes")
def nodes(session: Session, words: Words) -> None:
    """Print where a producer runs: ``nodes dmesg``."""
    places = session.places
    if not places.levels or places.here.mode != "monitoring":
        raise messages.wrong_mode("nodes")
    name = words[0] if words else places.here.chosen
    producer = places.find(str(name))
    if producer is None:
        raise messages.no_such("producer", str(name))
    session.write(",".join(collapse(_nodes(session, producer))) + "\n")


def _nodes(session: Session, producer: Entity) -> set[str]:
    """Without filters every node; else those that a filter includes (`lua` filters are not evaluated)."""
    devices = session.daemon.state.table("device")
    filters = producer.entries("nodeexecutionfilters").values()
    if not filters:
        return set(devices)
    included: set[str] = set()
    for one in filters:
        included |= _matched(session, one)
    return {name for name in sorted(included, key=natural) if name in devices}


def _matched(session: Session, one: Entity) -> set[str]:
    state = session.daemon.state
    devices, named = state.table("device"), {str(each) for each in _names(one)}
    kind = one.kind[: -len(FILTER)]
    if kind == "Node":
        return named
    if kind == "Category":
        return {name for name, device in devices.items() if device.values.get("category") in named}
    if kind == "Type":
        return {name for name, device in devices.items() if device.kind in named}
    if kind == "Overlay":
        overlays = state.table("configurationoverlay")
        return {node for name in named if name in overlays for node in state.resolver.members(overlays[name])}
    return {session.daemon.head} if kind == "Resource" else set()


def _names(one: Entity) -> tuple[str, ...]:
    found = one.values.get(
        {"Category": "categories"}.get(one.kind[: -len(FILTER)], one.kind[: -len(FILTER)].lower() + "s")
    )
    return found if isinstance(found, tuple) else ()
