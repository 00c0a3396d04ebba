"""A head node for the agent's tests: a real TLS server, certificates good and bad, and the agent's view of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, TypeVar

from bcm_jobstats.node.config import Config
from bcm_jobstats.node.heads import Heads
from bcm_jobstats.node.tls import Tls
from bcm_jobstats.simulator import pki
from tests.bcm.https import Answer, Handler, Server, serving, text

T = TypeVar("T")
PROFILE = "bcm-jobstats-role-monitor"
HEAD = {"hostname": "bcm-head", "roles": ["headnode", "boot"], "type": "HeadNode"}
"""A head node as REST tells it (bcm-facts §8.2)."""
PEM, KEY = "monitor.pem", "monitor.key"
EXPIRED_PEM, EXPIRED_KEY = "expired.pem", "expired.key"
ADDRESS = "127.0.0.1"


def prepare(directory: Path) -> Path:
    """An authority, a server's certificate, and those of an agent: sound, and expired."""
    pki.prepare(directory, ["bcm-head"])
    for days, pem, key in ((30, PEM, KEY), (-1, EXPIRED_PEM, EXPIRED_KEY)):
        pki.issue(directory, PROFILE, PROFILE, "", days, directory / key, directory / pem)
    return directory


def with_server(directory: Path, names: str, days: int) -> Path:
    """The same authority and agent, and another certificate of the server; where it is served from."""
    other = directory / f"server-{names.replace(':', '-')}{days}"
    other.mkdir()
    pki.copy(directory, other)
    made = (other / pki.SERVER_KEY, other / pki.SERVER)
    pki._sign(directory, "cmdaemon", (f"subjectAltName={names}",), made, serial=99, days=days)
    return other


def directly(what: str, function: Callable[[], T]) -> T:
    """Shared storage that always answers."""
    return function()


def config(directory: Path, port: int, *heads: str, **more: Any) -> Config:
    """An agent's configuration with its certificate in `directory`."""
    files = {"certificate": directory / PEM, "key": directory / KEY, "ca": directory / pki.CA}
    return Config(heads=heads or (ADDRESS,), port=port, **{"share": False, **files, **more})


def heads(settings: Config) -> Heads:
    """What asks them."""
    return Heads(settings, Tls(settings, directly, lambda priority, line: None))


def port(server: Server) -> int:
    """Of the address that it serves."""
    return int(server.address.rpartition(":")[2])


def listed(**roles: list[str]) -> list[dict[str, object]]:
    """A list of devices: a head node, and nodes with these roles. `node_1` is `node-1`."""
    found: list[dict[str, object]] = [{**HEAD}]
    for name, has in roles.items():
        node = {"hostname": name.replace("_", "-"), "type": "PhysicalNode"}
        found.append({**node, "roles": has} if has else {**node})
    return found


def says(document: object) -> Answer:
    """An answer of this JSON."""
    return text(json.dumps(document).encode())


def marked(document: object, tag: str) -> Answer:
    """An answer with an ETag, 304 to those who know it."""

    def answer(handler: Handler) -> None:
        known = handler.headers.get("If-None-Match") == tag
        text(b"" if known else json.dumps(document).encode(), 304 if known else 200, ETag=tag)(handler)

    return answer


@contextmanager
def two_heads(directory: Path) -> Iterator[tuple[Server, Server]]:
    """Two head nodes, on two ports."""
    with serving(directory) as first, serving(directory) as second:
        yield first, second
