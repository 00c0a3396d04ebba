"""The command `cmha` of the head nodes (bcm-facts §10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bcm_jobstats.simulator import hatexts
from bcm_jobstats.simulator.cmdaemon import CMDaemon
from bcm_jobstats.simulator.ha import Heads

CHECKS = {"failoverping": "", "mysql": " (11)", "ping": "", "status": ""}
"""The checks of one head on the other, and what follows their `[FAILED]`: only mysql's is shown anywhere."""


class Client(Protocol):
    """The other end: the process that was started as cmha."""

    def write(self, text: str) -> None:
        """Print on its standard output."""

    def error(self, text: str) -> None:
        """Print on its standard error."""


def cmha(daemon: CMDaemon, argv: Sequence[str], here: str, client: Client) -> int:
    """Run `cmha` on the head `here`; the exit status, which no public text tells: 0, or 1 when it did not do it."""
    heads = daemon.ha
    if here in heads.down:
        client.error(hatexts.UNREACHABLE)
        return 1
    if not heads.is_pair:
        client.write(hatexts.SINGLE)
        return 1
    word, *rest = argv or [""]
    if word == "status" and not rest:
        client.write(report(heads, here))
        return 0
    if word == "nodestatus" and len(rest) <= 1:
        return _node_status(heads, rest[0] if rest else here, client)
    if word == "makeactive" and len(rest) <= 1:
        return _make_active(daemon, rest[0] if rest else here, client)
    client.error(hatexts.NOT_SIMULATED if word == "dbreclone" else hatexts.USAGE)
    return 1


def report(heads: Heads, here: str) -> str:
    """What `cmha status` prints on the head `here`; `failover base; status` of cmsh is its equal (bcm-facts §10)."""
    text = f"Node Status: {hatexts.RUNNING[heads.states[here]]}\nFailover status:\n"
    for name in heads.roots:
        text += f"{_marked(heads, name)} -> {_marked(heads, heads.other(name))}\n"
        fails = bool(heads.down)  # a head that is down neither checks nor answers
        text += "".join(f"  {check:<13} {'[FAILED]' + why if fails else '[  OK  ]'}\n" for check, why in CHECKS.items())
    return text


def _marked(heads: Heads, name: str) -> str:
    return f"{name}*" if name == heads.active else name


def _node_status(heads: Heads, name: str, client: Client) -> int:
    if name not in heads.roots:
        client.error(hatexts.no_head(name))
        return 1
    state = hatexts.DOWN if name in heads.down else hatexts.RUNNING[heads.states[name]]
    client.write(f"{name}: {state}\n")
    return 0


def _make_active(daemon: CMDaemon, name: str, client: Client) -> int:
    if name == daemon.ha.active and daemon.ha.serving:
        client.write(hatexts.already_active(name))
        return 0
    try:
        daemon.failover(name)
    except ValueError:
        client.error(hatexts.cannot_become_active(name))
        return 1
    client.write(hatexts.became_active(name))
    return 0
