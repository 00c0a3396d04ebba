"""The events of CMDaemon, which cmsh shows between the output of commands (bcm-facts §1.7)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from threading import Lock


class Events:
    """All events of a daemon in order; every session reads on from where it was."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lines: list[str] = []

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, texts: Iterable[str]) -> list[str]:
        """Stamp texts such as ``node001: Service cups was started`` with ``Fri Apr 14 14:03:40 2017 [notice]``."""
        now = time.localtime()
        stamp = time.strftime("%a %b {} %H:%M:%S %Y [notice]", now).format(now.tm_mday)
        with self._lock:
            fresh = [f"{stamp} {text}" for text in texts]
            self._lines += fresh
        return fresh

    def since(self, position: int) -> list[str]:
        """The events after a position."""
        return self._lines[position:]
