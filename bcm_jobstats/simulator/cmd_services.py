"""The services submode: status and actions of managed services on running nodes (bcm-facts §1.7, §3.3)."""

from __future__ import annotations

from bcm_jobstats.simulator import messages, tables
from bcm_jobstats.simulator.noderanges import natural
from bcm_jobstats.simulator.noderunner import ServiceState
from bcm_jobstats.simulator.session import Session, command
from bcm_jobstats.simulator.tables import Column

Words = tuple[str, ...]
DONE = {"start": "started", "stop": "stopped", "restart": "restarted", "reset": "reset"}
STATE_WIDTH, NARROW = 8, 7
"""In tables, and for a single service: ``cups [STOPPED]``, ``node001.... cups [STOPPED ]`` (bcm-facts §1.7)."""


def _nodes(session: Session) -> list[str]:
    top = session.places.levels[0]
    devices = session.daemon.state.table("device")
    if top.mode == "device":
        return [str(top.chosen)] if top.chosen in devices else []
    return sorted((name for name, d in devices.items() if d.values.get("category") == top.chosen), key=natural)


def _bracket(state: ServiceState | None, width: int = STATE_WIDTH) -> str:
    told = state.value if state else ServiceState.DOWN.value
    return f"[{told:^{width}}]"


def service_status(session: Session, words: Words) -> None:
    """The states of the services of a node, or of every node of a category."""
    names = sorted(words or ((session.places.here.chosen,) if session.places.here.chosen else ()))
    shown = names or sorted(session.places.services())
    nodes = _nodes(session)
    states = {node: session.daemon.nodes.service_states(node) for node in nodes}
    if session.places.levels[0].mode == "category":
        lines = [f"{node:.<25} {name} {_bracket(states[node].get(name))}\n" for node in nodes for name in shown]
        session.write("".join(lines))
        return
    found = states[nodes[0]] if nodes else {}
    if names:
        session.write("".join(f"{name} {_bracket(found.get(name), NARROW)}\n" for name in names))
        return
    rows = [(name, _bracket(found.get(name))) for name in shown]
    session.write(tables.table([Column("Service", 12, 32), Column("Status", 11, 11)], rows))


def _act(action: str, session: Session, words: Words) -> None:
    here = session.places.here
    if here.mode != "services":
        raise messages.wrong_mode(action)
    names = words or ((here.chosen,) if here.chosen else ())
    if not names:
        raise messages.no_object()
    daemon = session.daemon
    daemon.wait_idle()
    for service in names:
        done = [node for node in _nodes(session) if daemon.nodes.act(action, node, service)]
        if not done:
            raise messages.service_failed(action, service, ",".join(_nodes(session)))
        session.write(f"Successfully {DONE[action]} service {service} on: {','.join(done)}\n")
        daemon.events.add(f"{node}: Service {service} was {DONE[action]}" for node in done)


def _entered() -> None:
    for action in DONE:

        def handler(session: Session, words: Words, action: str = action) -> None:
            _act(action, session, words)

        handler.__doc__ = f"{action.capitalize()} services."
        command(action)(handler)


_entered()
