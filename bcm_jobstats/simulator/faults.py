"""Faults that a test arms beforehand: each strikes once, the Nth time its occasion comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event, Lock
from typing import Any

REFUSE_COMMIT, HANG_COMMIT, HANG_CONNECT = "refuse_commit", "hang_commit", "hang_connect"
DROP_BEFORE_COMMIT, DROP_AFTER_COMMIT, DROP_OUTPUT = "drop_before_commit", "drop_after_commit", "drop_output"
FAILOVER_AT_COMMIT = "failover_at_commit"
EVENTS, EVENTS_ANYWAY = "events", "events_anyway"
HTTP_HANG, HTTP_CUT, HTTP_GARBAGE = "http_hang", "http_cut", "http_garbage"
HTTP_ERROR, HTTP_STATUS = "http_error", "http_status"
FAIL_CLONE, HANG_CLONE = "fail_clone", "hang_clone"
FAIL_SYNC, HANG_SYNC = "fail_sync", "hang_sync"
KINDS = (
    REFUSE_COMMIT,  # the commit is refused with the validation table of field and message
    HANG_COMMIT,  # the commit is not begun until the hang is released
    HANG_CONNECT,  # the session does not begin until the hang is released
    DROP_BEFORE_COMMIT,  # the connection breaks, nothing was committed
    DROP_AFTER_COMMIT,  # the connection breaks, all was committed
    FAILOVER_AT_COMMIT,  # the other head becomes active right `when` ("after", "before") the commit; `crash`: one dies
    DROP_OUTPUT,  # the connection breaks after so many lines of a session's output
    EVENTS,  # event lines come after so many lines of a piece of output, unless the session disabled or hid events
    EVENTS_ANYWAY,  # the same, whatever the session asked for
    HTTP_HANG,  # an HTTPS request is not answered until the hang is released
    HTTP_CUT,  # an HTTPS connection breaks in the middle of an answer
    HTTP_GARBAGE,  # an HTTPS answer is no JSON
    HTTP_ERROR,  # an HTTPS request is answered with an errormessage at HTTP 200, and nothing is done
    HTTP_STATUS,  # an HTTPS request is answered with a status such as 503, and nothing is done
    FAIL_CLONE,  # the copy of an image, of the new one `name` if told, breaks off half way with `message`
    HANG_CLONE,  # such a copy is not begun until the hang is released
    FAIL_SYNC,  # an imageupdate or grab of a node, of `name` if told, fails with `message` and changes nothing
    HANG_SYNC,  # such a sync is not begun until the hang is released
)


class DroppedError(Exception):
    """The connection of a session breaks here."""


@dataclass
class Fault:
    """One armed fault."""

    kind: str
    nth: int = 1
    field: str = "name"
    message: str = "Refused by a fault"
    lines: int = 0
    when: str = "after"
    crash: bool = False
    status: int = 500
    name: str = ""
    texts: tuple[str, ...] = ("bcm-head: Check 'ManagedServicesOk' is in state PASS",)


class Faults:
    """The armed faults, and the place where hanging sessions wait."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._armed: list[Fault] = []
        self._release = Event()
        self._ending = False

    def arm(self, order: Mapping[str, Any]) -> None:
        """Arm the fault that an order describes; a kind that does not exist is a ValueError."""
        told = {name: value for name, value in order.items() if name != "op"}
        if told.get("kind") not in KINDS:
            raise ValueError(f"simulator: no fault {told.get('kind')!r}; there are {', '.join(KINDS)}")
        if "texts" in told:
            told["texts"] = tuple(told["texts"])
        if told.get("when", "after") not in ("after", "before"):
            raise ValueError(f"simulator: a fault comes after or before, not {told['when']!r}")
        with self._lock:
            self._armed.append(Fault(**told))

    def clear(self) -> None:
        """Disarm all faults."""
        with self._lock:
            self._armed.clear()

    def armed(self) -> list[dict[str, Any]]:
        """What is still armed."""
        return [{"kind": fault.kind, "nth": fault.nth} for fault in self._armed]

    def strike(self, kind: str, when: str = "", name: str = "") -> Fault | None:
        """The occasion for a kind of fault (`when` it is told, and for which object) came: the fault that strikes now.

        None when none does.
        """
        with self._lock:
            for fault in self._armed:
                if fault.kind == kind and when in ("", fault.when) and fault.name in ("", name):
                    fault.nth -= 1
                    if fault.nth == 0:
                        self._armed.remove(fault)
                        return fault
        return None

    def hang(self) -> None:
        """Wait until somebody releases whatever hangs; when the daemon ends instead, nothing more happens."""
        self._release.wait()
        if self._ending:
            raise DroppedError

    def release(self) -> None:
        """Let everything go on that hangs now."""
        hanging, self._release = self._release, Event()
        hanging.set()

    def end(self) -> None:
        """The daemon ends: whatever hangs is cut off, now and later."""
        self._ending = True
        self._release.set()
