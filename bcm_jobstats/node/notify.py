"""What the agent tells systemd of itself: sd_notify(3), without a library."""

from __future__ import annotations

import os
import socket
from typing import Optional


class Notify:
    """systemd's socket for the messages of a service; without one (`address` unset) nothing is told to anybody."""

    def __init__(self, address: Optional[str] = None) -> None:
        """`address` is that of NOTIFY_SOCKET: a path, or a name in the abstract name space behind '@'."""
        self._address = address or ""

    def ready(self, status: str) -> None:
        """The service has started; `status` is one line for `systemctl status`."""
        self._tell("READY=1", f"STATUS={_one_line(status)}")

    def alive(self, status: str = "") -> None:
        """Feed the watchdog; a new `status` goes with it."""
        self._tell("WATCHDOG=1", *([f"STATUS={_one_line(status)}"] if status else []))

    def stopping(self) -> None:
        """The service has begun to stop."""
        self._tell("STOPPING=1", "STATUS=stopping")

    def _tell(self, *lines: str) -> None:
        if not self._address.startswith(("/", "@")):
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as there:
                there.setblocking(False)
                there.sendto("\n".join(lines).encode(), address)
        except OSError:  # systemd is busy or being replaced: a message is lost, and the next one tells as much
            pass


def watchdog(seconds_default: float) -> float:
    """How often the watchdog must be fed, in seconds: half of what systemd waits (sd_watchdog_enabled(3))."""
    try:
        return int(os.environ["WATCHDOG_USEC"]) / 2_000_000
    except (KeyError, ValueError):
        return seconds_default


def _one_line(text: str) -> str:
    return " ".join(text.split())
