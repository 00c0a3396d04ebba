"""What device mode tells of one node: its environment, and the version of CMDaemon (bcm-facts §1.7)."""

from __future__ import annotations

import time

from bcm_jobstats.simulator import messages, tables
from bcm_jobstats.simulator.cmd_main import CMDAEMON
from bcm_jobstats.simulator.noderanges import natural
from bcm_jobstats.simulator.session import Session, command
from bcm_jobstats.simulator.tables import Column

Words = tuple[str, ...]
WRITTEN = (("Hostname", 16, 32), ("Path", 32, 80), ("Timestamp", 24, 24), ("Actor", 16, 16), ("Frozen", 8, 8))
DEVICE_TYPES = {"HeadNode": "HeadNode", "PhysicalNode": "ComputeNode"}


def _node(session: Session, words: Words, name: str) -> str:
    here = session.places.here
    node = words[0] if words else here.chosen
    if here.mode != "device" or node is None:
        raise messages.wrong_mode(name)
    if session.drafts.get("device", node) is None:
        raise messages.no_such("device", node)
    return node


@command("environment")
def environment(session: Session, words: Words) -> None:
    """Print what scripts of CMDaemon find in their environment about a node (those of its keys that are known)."""
    node = _node(session, words, "environment")
    state = session.daemon.state
    device = state.table("device").get(node)
    if device is None:
        raise messages.no_such("device", node)
    rows: list[tables.Line] = [
        ("CMD_CATEGORY", str(device.values.get("category", ""))),
        ("CMD_DEVICE_TYPE", DEVICE_TYPES.get(device.kind, device.kind)),
        ("CMD_HOSTNAME", node),
        ("CMD_NODEGROUPS", ""),
        ("CMD_ROLES", ",".join(sorted(state.resolver.roles(node)))),
        ("CMD_SOFTWAREIMAGE", session.daemon.nodes.image_of(node)),
    ]
    session.write(tables.table([Column("Key", 32, 32), Column("Value", 33, 64, cut=False)], rows))


@command("cmdaemonversions")
def cmdaemon_versions(session: Session, words: Words) -> None:
    """Print the version of CMDaemon on every node (the columns are invented: no output is public)."""
    del words
    if session.places.here.mode != "device":
        raise messages.wrong_mode("cmdaemonversions")
    names = sorted(session.places.entries(), key=natural)
    rows = [(name, CMDAEMON) for name in names if name not in session.daemon.nodes.down]
    session.write(tables.table([Column("Hostname", 32, 32), Column("Version", 16, 16)], rows))


@command("filewriteinfo")
def file_write_info(session: Session, words: Words) -> None:
    """List the files that CMDaemon wrote to a node: of those of a real one, only what generic roles bring is played."""
    node = _node(session, words, "filewriteinfo")
    tree = session.daemon.tree(node)
    rows: list[tables.Line] = []
    for name in session.daemon.nodes.files.written(node) if tree else ():
        file = tree / name.lstrip("/") if tree else None
        if file and file.exists():
            when = time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(file.stat().st_mtime))
            rows.append((node, name, when, "CMDaemon", "no"))
    columns = [Column(header, low, high) for header, low, high in WRITTEN]
    session.write(tables.table(columns, rows))
