"""Addresses of head nodes, with a limit in time: the C library asks silent name servers for a minute, in a call that
no signal ends."""

from __future__ import annotations

import socket
from typing import Any

from bcm_jobstats.node.ports import StorageLost
from bcm_jobstats.node.storage import Storage

LONGEST = 5.0
"""Seconds for a name."""
Place = tuple[int, int, int, str, Any]
"""As socket.getaddrinfo has it: family, type, protocol, name, address."""


class Lookup:
    """Each name is looked up by itself: one whose name server is silent keeps no other one waiting."""

    def __init__(self, seconds: float = LONGEST) -> None:
        self._bounded = Storage(seconds)

    def places(self, host: str, port: int) -> list[Place]:
        """Where to connect to, in the order to try; raises socket.gaierror, also when that is not told in time."""
        name = host.encode("ascii")  # as bytes: the tables for names of other letters would cost every node 200 kB
        try:
            return list(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
        except socket.gaierror:
            pass  # it is no address but a name
        try:
            return self._bounded.run(host, lambda: list(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)))
        except StorageLost as error:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer in time") from error
