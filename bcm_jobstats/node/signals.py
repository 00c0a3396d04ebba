"""What systemd tells the agent: to stop (SIGTERM), and to read its configuration again (SIGHUP)."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from types import FrameType
from typing import Optional

HELD = {signal.SIGTERM, signal.SIGHUP}
"""What waits until the program can do what it is told (node.__main__ has it wait from the first)."""


class Stop(BaseException):  # no error: nothing that catches errors may swallow it
    """The agent was told to end. It is raised wherever the agent is: whatever it does may end at any point."""


def release() -> None:
    """Let come what waits."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)


class Signals:
    """The signals of this process from now on; SIGTERM and SIGHUP from begin() on. Only the main thread makes one, and
    once."""

    def __init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        self._hung_up = False
        self._armed = True
        self._read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # A signal that comes just before the wait still ends it: its number is in the pipe.
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._hang_up)

    def begin(self) -> None:
        """Let them come. Raises Stop when one is waiting."""
        release()

    def wait(self, seconds: float) -> None:
        """Wait, less when a signal comes. Raises Stop."""
        select.select([self._read], [], [], max(0.0, seconds))
        with suppress(BlockingIOError):
            os.read(self._read, 4096)

    def asked_to_reload(self) -> bool:
        """Whether SIGHUP came since this was last asked."""
        hung_up, self._hung_up = self._hung_up, False
        return hung_up

    def ignore(self) -> None:
        """Stop was heard: what follows is not interrupted again."""
        self._armed = False

    def _stop(self, number: int, frame: Optional[FrameType]) -> None:
        if self._armed:
            self._armed = False
            raise Stop

    def _hang_up(self, number: int, frame: Optional[FrameType]) -> None:
        self._hung_up = True
