"""`excludelist` and `synclog` in device mode: what a sync leaves alone, and what the last one did (bcm-facts §6).

Only their names and arguments are public. That `excludelist get` prints the list as text, the table of `excludelist
list`, and that `synclog` prints rsync's itemized lines, are assumptions.
"""

from __future__ import annotations

from bcm_jobstats.simulator import messages, tables
from bcm_jobstats.simulator.excludelists import FIELDS
from bcm_jobstats.simulator.nodelists import effective
from bcm_jobstats.simulator.options import options
from bcm_jobstats.simulator.session import Session, command
from bcm_jobstats.simulator.tables import Column

Words = tuple[str, ...]
ROOT = "/"
"""The destination whose lists are played: the whole node."""
USAGE = f"excludelist list | excludelist get {'|'.join(FIELDS)} {ROOT}"


def _node(session: Session, name: str) -> str:
    if session.places.here.mode != "device":
        raise messages.wrong_mode(name)
    return _known(session, session.places.here.chosen)


def _known(session: Session, node: str | None) -> str:
    if node is None:
        raise messages.no_object()
    if node not in session.daemon.state.table("device"):
        raise messages.no_such("device", node)
    return node


@command("excludelist")
def exclude_list(session: Session, words: Words) -> None:
    """List the exclude lists in effect for the node in use, or print one."""
    node = _node(session, "excludelist")
    state = session.daemon.state
    if words == ("list",):
        rows = [(word, ROOT, str(len(effective(state, node, word).splitlines()))) for word in FIELDS]
        session.write(tables.table([Column("Mode", 8, 8), Column("Path", 16, 16), Column("Lines", 6, 6)], rows))
    elif len(words) == 3 and words[0] == "get" and words[1] in FIELDS and words[2] == ROOT:
        session.write(effective(state, node, words[1]))
    else:
        raise messages.usage(USAGE)


@command("synclog")
def sync_log(session: Session, words: Words) -> None:
    """Print what the last sync or grab of a node changed, or would change: ``synclog NODE``, or the one in use."""
    if session.places.here.mode != "device":
        raise messages.wrong_mode("synclog")
    _, rest = options(words, {})
    node = _known(session, rest[0] if rest else session.places.here.chosen)
    session.write("".join(f"{line}\n" for line in session.daemon.nodes.provisioning.logs.get(node, ())))
