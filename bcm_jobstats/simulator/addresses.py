"""Loopback addresses for the nodes of a simulator: a /24 network that no other simulator of this machine has."""

from __future__ import annotations

import random
import socket

CLAIM_PORT = 48081
"""A simulator holds this UDP port on its network's address .0 while it runs: whoever cannot bind it looks elsewhere."""


def claim_network(preferred: str = "") -> tuple[str, socket.socket]:
    """A free network such as ``127.77.7``, and the socket that keeps it free for the caller."""
    candidates = [preferred] if preferred else []
    candidates += [f"127.{random.randrange(2, 255)}.{random.randrange(2, 255)}" for _ in range(64)]  # noqa: S311
    for network in candidates:
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind((f"{network}.0", CLAIM_PORT))
        except OSError:
            claim.close()
            continue
        return network, claim
    raise OSError("simulator: no free loopback network")
