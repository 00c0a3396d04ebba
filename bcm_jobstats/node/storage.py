"""Work on shared storage with a limit in time: an NFS server that is away holds a process for as long as it likes."""

from __future__ import annotations

import threading
from typing import Callable, Generic, Optional, TypeVar

from bcm_jobstats.node.ports import StorageLost

T = TypeVar("T")
REMEDY = "Does the server of shared storage answer? df on the node hangs as long as it does not."


class Storage:
    """Shared storage: what is done there is about one thing, a directory or the certificate, and each may lie on a
    server of its own. One that hangs keeps no other one from being used.

    No thread of it keeps the process from ending.
    """

    def __init__(self, seconds: float) -> None:
        """`seconds` is what each piece of work may take."""
        self._seconds = seconds
        self._places: dict[str, _Place] = {}

    def run(self, what: str, function: Callable[[], T]) -> T:
        """What `function` gives or raises; StorageLost about `what` when it does not come back in time.

        What was given up may yet be done, at any later time, but never beside other work about `what`.
        """
        return self._places.setdefault(what, _Place(self._seconds)).run(what, function)


class _Place:
    """Runs one piece of work at a time in a thread of its own. What hangs is left behind, and until it comes back
    nothing else is tried: a hundred hanging threads would say no more than one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._left: Optional[_Work[object]] = None
        self._patience = 0.0

    def run(self, what: str, function: Callable[[], T]) -> T:
        """See Storage.run."""
        if self._left is not None and not self._left.done.wait(self._patience):
            self._patience = 0.0
            raise _lost(what)
        work = _Work(function)
        # Whatever interrupts the wait, such as a signal: this piece of work ends before another one begins.
        self._left, self._patience = work, self._seconds  # type: ignore[assignment]  # nobody asks for its result
        threading.Thread(target=work.do, name="storage", daemon=True).start()
        if not work.done.wait(self._seconds):
            self._patience = 0.0
            raise _lost(what)
        self._left = None
        return work.result()


class _Work(Generic[T]):
    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._found: list[T] = []
        self._raised: Optional[BaseException] = None
        self.done = threading.Event()

    def do(self) -> None:
        try:
            self._found.append(self._function())
        except BaseException as error:  # raised again where it is waited for
            self._raised = error
        finally:
            self.done.set()

    def result(self) -> T:
        if self._raised is not None:
            try:
                raise self._raised
            finally:
                self._raised = None  # it refers to its own frame, and so to this: nothing is left for the collector
        return self._found[0]


def _lost(what: str) -> StorageLost:
    return StorageLost(what, "does not answer", REMEDY)
