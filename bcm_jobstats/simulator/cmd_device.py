"""Commands on nodes: status, roleoverview, imageupdate; and `status` in the services submode."""

from __future__ import annotations

from bcm_jobstats.simulator import messages, tables
from bcm_jobstats.simulator.cells import node_status
from bcm_jobstats.simulator.cmd_foreach import GROUPS
from bcm_jobstats.simulator.cmd_partition import failover_status
from bcm_jobstats.simulator.cmd_services import service_status
from bcm_jobstats.simulator.noderanges import collapse, expand, natural
from bcm_jobstats.simulator.options import options
from bcm_jobstats.simulator.schema import BCM10
from bcm_jobstats.simulator.session import Session, command
from bcm_jobstats.simulator.tables import Column

Words = tuple[str, ...]
GROUPINGS = {
    **{"nodes=": "n", "category=": "c", "role=": "l", "overlay=": "e", "image=": "m", "type=": "t", "rack=": "r"},
    **{"status=": "s", "group=": "g", "chassis=": "h"},
}
OLDER_OVERVIEW = (16, 36, 10)
"""The widths of the older layout of `roleoverview`: of Nodes only the longest line is public (bcm-facts §1.7)."""
DRY_RUN = "Performing dry run (use synclog command to review result, then pass -w to perform real update)...\n"
"""Literal, bcm-facts §6."""


def chosen_nodes(session: Session, found: dict[str, str], rest: list[str]) -> list[str]:
    """The nodes that a command of device mode names, by -n, -c, -l, by name, or by the object in use."""
    names = set(expand(rest, session.read_file))
    for grouping, members in GROUPS.items():
        if grouping in found:
            names |= set(members(session, found[grouping]))
    if not names and session.places.here.chosen and session.places.here.mode == "device":
        names = {session.places.here.chosen}
    for name in names:
        if session.drafts.get("device", name) is None:
            raise messages.no_such("device", name)
    return sorted(names, key=natural)


@command("status")
def status(session: Session, words: Words) -> None:
    """The state of nodes, or of services in their submode."""
    mode = session.places.here.mode
    if mode == "services":
        service_status(session, words)
        return
    if mode == "failover":
        session.write(failover_status(session))
        return
    if mode != "device":
        raise messages.wrong_mode("status")
    found, rest = options(words, GROUPINGS)
    names = chosen_nodes(session, found, rest)
    if not names:
        names = sorted(session.places.entries(), key=natural)
    wide = 21 if session.daemon.profile == BCM10 else 26
    session.write("".join(f"{name + ' ':.<{wide}} {node_status(session, name)}\n" for name in names))


@command("roleoverview")
def role_overview(session: Session, words: Words) -> None:
    """Which role is on which nodes, and through which categories and overlays (bcm-facts §1.7)."""
    del words
    state = session.daemon.state
    found: dict[str, tuple[list[str], set[str], set[str]]] = {}
    for node in state.table("device"):
        for name, held in state.resolver.roles(node).items():
            nodes, categories, overlays = found.setdefault(name, ([], set(), set()))
            nodes.append(node)
            sources = {"category": categories, "overlay": overlays}.get(held.source)
            if sources is not None:
                sources.add(held.holder)
            if held.source == "overlay":
                named = state.table("configurationoverlay")[held.holder].values.get("categories", ())
                categories.update({str(state.table("device")[node].values.get("category"))} & set(named))
    session.write(_overview(session, found))


def _overview(session: Session, found: dict[str, tuple[list[str], set[str], set[str]]]) -> str:
    sizes: tuple[int, ...] = (16, 25, 10, 33, 8)
    headers: tuple[str, ...] = ("Role", "Nodes", "Categories", "Configuration Overlays", "Nodes up")
    if session.daemon.switches["layouts"] == "older":
        sizes, headers = OLDER_OVERVIEW, headers[:3]
    rows: list[tables.Line] = []
    for role, (nodes, categories, overlays) in sorted(found.items()):
        lists = [collapse(nodes), sorted(categories), sorted(overlays)]
        cells = [tables.wrapped(names, size) for names, size in zip(lists, (*sizes[1:3], 33))]
        up = sum(node not in session.daemon.nodes.down for node in nodes)
        for at in range(max(len(cell) for cell in cells)):
            lines = [cell[at] if at < len(cell) else "" for cell in cells]
            row = (role if at == 0 else "", *lines, f"{up} of {len(nodes)}" if at == 0 else "")
            rows.append(row[: len(sizes)])
    columns = [Column(header, size, size, cut=False) for header, size in zip(headers, sizes)]
    return tables.table(columns, rows)


@command("imageupdate")
def image_update(session: Session, words: Words) -> None:
    """Sync images to running nodes: a dry run without -w, which means write; --wait waits (bcm-facts §6)."""
    if session.places.here.mode != "device":
        raise messages.wrong_mode("imageupdate")
    found, rest = options(words, {**GROUPINGS, "write": "w", "wait": ""})
    daemon = session.daemon
    names = [name for name in chosen_nodes(session, found, rest) if name in daemon.state.table("device")]
    if not names:
        raise messages.usage("imageupdate [-w] [--wait] -n <nodes> | -c <category>")
    dry_run = "write" not in found
    if dry_run:
        session.write(DRY_RUN)
    work = daemon.start(lambda: daemon.nodes.update(names, daemon.head, dry_run=dry_run))
    if "wait" in found:
        work.result()
        session.write("imageupdate [ COMPLETED ]\n")
