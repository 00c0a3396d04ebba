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
    return daemon.switches.told()


def _node(daemon: CMDaemon, order: Order) -> None:
    name = str(order["name"])
    if name not in daemon.state.table("device") or order["state"] not in ("up", "down"):
        raise ValueError(f"simulator: no node {name}, or no state {order['state']}")
    daemon.start(lambda: daemon.nodes.switch(name, up=order["state"] == "up")).result()


def _services(daemon: CMDaemon, order: Order) -> dict[str, str]:
    return {name: state.value for name, state in daemon.nodes.runner.states(str(order["node"])).items()}


def _status(daemon: CMDaemon, order: Order) -> dict[str, Any]:
    del order
    tables = daemon.state.tables
    return {
        "profile": daemon.profile,
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
    "event": lambda daemon, order: daemon.events.add([str(order["text"])]),
    "log": lambda daemon, order: list(daemon.log),
    "reset_log": lambda daemon, order: daemon.log.clear(),
    "wait_idle": lambda daemon, order: daemon.wait_idle(),
    "services": _services,
    "status": _status,
}
"""The orders by their ``op``."""
