"""Work on a lab that nobody else may disturb: one at a time, and interrupted only where it can be undone."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Optional

from bcm_jobstats.simulator.lab.pod import PodError

ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def alone(directory: Path) -> socket.socket:
    """Held while the lab changes. A name that only the kernel keeps: nothing is left when its holder is killed."""
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0bcm-simulator-lab:{directory}")
    except OSError:
        lock.close()
        raise PodError(f"another up or down works on {directory}. Wait for it, or kill it.") from None
    return lock


@contextmanager
def as_before() -> Iterator[None]:
    """What signals do is afterwards what it was."""
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


@contextmanager
def interruptible() -> Iterator[None]:
    """A signal that ends a program ends the work within; what is then done to undo it, no further one does."""
    caught = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]  # as under nohup

    def ignore() -> None:
        for number in caught:
            signal.signal(number, signal.SIG_IGN)

    def interrupt(number: int, frame: Optional[FrameType]) -> None:
        del frame
        ignore()
        raise KeyboardInterrupt(number)

    for number in caught:
        signal.signal(number, interrupt)
    try:
        yield
    except BaseException:
        ignore()
        raise
