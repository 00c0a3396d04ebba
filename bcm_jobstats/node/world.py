"""What the agent takes from the machine besides BCM, systemd and shared storage: its name, the time and chance."""

from __future__ import annotations

import os
import socket
import time
from typing import Callable, NamedTuple


def uniform(low: float, high: float) -> float:
    """A number between two. The module `random` would cost every node a megabyte for it."""
    return low + (high - low) * int.from_bytes(os.urandom(4), "big") / (1 << 32)


class World(NamedTuple):
    """The machine; tests have one of their own."""

    host: Callable[[], str] = socket.gethostname
    now: Callable[[], float] = time.time
    """Seconds since 1970 by the machine's clock, which somebody may set."""
    sleep: Callable[[float], None] = time.sleep
    """Waits for services to settle; seconds."""
    uniform: Callable[[float, float], float] = uniform
