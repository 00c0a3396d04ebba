"""Power: `power`, `reboot` and `shutdown` in device mode (AM11 §4.2.3).

Assumptions, because the manual shows none of it: nodes here have no power distribution unit, so `POWER` stands where
the manual has the unit and its port; `power on` of a node that is on changes nothing; the answer to `shutdown` is
worded as the one to `reboot`, which AM10 shows. The delay between nodes (-d) is taken and not waited for, and the
options and operations for batches, schedules and history are not played.
"""

from __future__ import annotations

from bcm_jobstats.simulator import messages, rights
from bcm_jobstats.simulator.cmd_device import GROUPINGS, chosen_nodes
from bcm_jobstats.simulator.noderanges import natural
from bcm_jobstats.simulator.options import options
from bcm_jobstats.simulator.session import Session, command

Words = tuple[str, ...]
POWER = "simulated"
WIDTH = 21
NODE = "PhysicalNode"
USAGE = "power [-n <nodes> | -c <category> | ...] [-d <seconds>] status | on | off | reset"


@command("power")
def power(session: Session, words: Words) -> None:
    """Tell or change the power of nodes; a node that was switched on is up when the command returns."""
    found, rest = options(words, {**GROUPINGS, "delay=": "d"})
    if not rest or rest[0] not in rights.OF_POWER:
        raise messages.usage(USAGE)
    operation = rest[0]
    rights.check_power(session.daemon, session.profile, operation)
    names = _nodes(session, "power", found, rest[1:], all_of_them=operation == "status")
    nodes = session.daemon.nodes
    if operation == "reset":
        session.daemon.start(lambda: nodes.switch_off(names)).result()
    if operation in ("on", "reset"):
        off = nodes.down.intersection(names)
        session.daemon.start(lambda: nodes.switch_on(off)).result()
    if operation == "off":
        session.daemon.start(lambda: nodes.switch_off(names)).result()
    down = nodes.down
    told = {name: "OFF" if name in down else "ON" for name in names}
    if operation == "reset":
        told = dict.fromkeys(names, "RESET")
    session.write("".join(f"{POWER + ' ':.<{WIDTH}} [{told[name]:^8}] {name}\n" for name in names))


@command("reboot")
def reboot(session: Session, words: Words) -> None:
    """Have nodes boot anew through their operating system, in the background."""
    found, rest = options(words, GROUPINGS)
    names = _nodes(session, "reboot", found, rest)
    session.daemon.nodes.off.update(names)  # none answers until it is up again
    session.daemon.start(lambda: session.daemon.nodes.switch_on(names))
    session.write(f"Reboot in progress for: {','.join(names)}\n")


@command("shutdown")
def shutdown(session: Session, words: Words) -> None:
    """Have nodes stop their services and switch themselves off, in the background."""
    found, rest = options(words, GROUPINGS)
    names = _nodes(session, "shutdown", found, rest)
    session.daemon.start(lambda: session.daemon.nodes.shut_down(names))
    session.write(f"Shutdown in progress for: {','.join(names)}\n")


def _nodes(
    session: Session, name: str, found: dict[str, str], rest: list[str], *, all_of_them: bool = False
) -> list[str]:
    """The committed nodes that a command is for; a head node's power is a matter of the admin plane."""
    if not session.places.levels or session.places.here.mode != "device":
        raise messages.wrong_mode(name)
    devices = session.daemon.state.table("device")
    names = chosen_nodes(session, found, rest)
    if not names and all_of_them:
        names = sorted((name for name, device in devices.items() if device.kind == NODE), key=natural)
    for node in names:
        if node not in devices or devices[node].kind != NODE:
            raise messages.no_power(node)
    if not names:
        raise messages.usage(USAGE if name == "power" else f"{name} -n <nodes> | -c <category> | <nodes>")
    return names
