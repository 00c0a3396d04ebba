"""The admin plane: what a test or a demo orders the simulator to do behind BCM's back."""

from __future__ import annotations

from typing import Any, Callable

from bcm_jobstats.simulator.cmdaemon import CMDaemon

Order = dict[str, Any]


def control(daemon: CMDaemon, order: Order) -> dict[str, Any]:
    """Carry out an order; ``{"result": …}``, or ``{"error": text}`` when it makes no sense."""
    handler = ORDERS.get(str(order.get("op")))
    if handler is None:
        return {"error": f"simulator: no order {order.get('op')!r}; there are {', '.join(sorted(ORDERS))}"}
    try:
        return {"result": handler(daemon, order)}
    except (ValueError, KeyError, TypeError) as error:
        return {"error": str(error)}


def _switch(daemon: CMDaemon, order: Order) -> dict[str, str]:
    daemon.switches.set(str(order["name"]), str(order["value"]))
    if order["name"] == "provisioners":
        daemon.start(daemon.provisioners.begin).result()
    return daemon.switches.told()


def _node(daemon: CMDaemon, order: Order) -> None:
    name = str(order["name"])
    if name in daemon.ha.roots:
        _head(daemon, order)
        return
    if name not in daemon.state.table("device") or order["state"] not in ("up", "down"):
        raise ValueError(f"simulator: no node {name}, or no state {order['state']}")
    switch = daemon.nodes.switch_on if order["state"] == "up" else daemon.nodes.switch_off
    daemon.start(lambda: switch([name])).result()


def _head(daemon: CMDaemon, order: Order) -> None:
    if order["state"] not in ("up", "down"):
        raise ValueError(f"simulator: no state {order['state']}")
    daemon.power_head(str(order["name"]), up=order["state"] == "up")


def _failover(daemon: CMDaemon, order: Order) -> dict[str, Any]:
    told = {name: bool(order.get(name)) for name in ("crash", "held")}
    daemon.failover(str(order.get("to", "")), **told)
    return _heads(daemon)


def _heads(daemon: CMDaemon) -> dict[str, Any]:
    ha = daemon.ha
    states = {name: "down" if name in ha.down else ha.states[name] for name in ha.roots}
    return {"active": ha.active, "states": states}


def _status_told(daemon: CMDaemon, order: Order) -> None:
    """What `device status` tells of a node: a state such as CLOSED, remarks such as ``health check failed``."""
    if order["name"] not in daemon.state.table("device"):
        raise ValueError(f"simulator: no node {order['name']}")
    daemon.nodes.shown[str(order["name"])] = (str(order.get("state", "")), str(order.get("remarks", "")))


def _services(daemon: CMDaemon, order: Order) -> dict[str, str]:
    return {name: state.value for name, state in daemon.nodes.runner.states(str(order["node"])).items()}


def _status(daemon: CMDaemon, order: Order) -> dict[str, Any]:
    del order
    tables = daemon.state.tables
    return {
        "profile": daemon.profile,
        "heads": _heads(daemon)["states"],
        "active": daemon.ha.active,
        "objects": {mode: len(table) for mode, table in sorted(tables.items())},
        "down": sorted(daemon.nodes.down),
        "restart_required": sorted(daemon.nodes.restart_required),
        "switches": daemon.switches.told(),
        "faults": daemon.faults.armed(),
    }


ORDERS: dict[str, Callable[[CMDaemon, Order], Any]] = {
    "fault": lambda daemon, order: daemon.faults.arm(order),
    "faults": lambda daemon, order: daemon.faults.armed(),
    "clear_faults": lambda daemon, order: daemon.faults.clear(),
    "release": lambda daemon, order: daemon.faults.release(),
    "switch": _switch,
    "node": _node,
    "status_told": _status_told,
    "head": _head,
    "heads": lambda daemon, order: _heads(daemon),
    "failover": _failover,
    "clock": lambda daemon, order: daemon.provisioners.clock.advance(float(order["advance"])),
    "event": lambda daemon, order: daemon.events.add([str(order["text"])]),
    "log": lambda daemon, order: list(daemon.log),
    "reset_log": lambda daemon, order: daemon.log.clear(),
    "wait_idle": lambda daemon, order: daemon.wait_idle(),
    "services": _services,
    "status": _status,
}
"""The orders by their ``op``."""
