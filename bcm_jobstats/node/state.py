"""What the agent knows about its node, as the file that survives it: the seed's shape (peers A4 4.8) and more."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime, timezone
from typing import Any, Optional

from bcm_jobstats.node.retries import Attempts

SEED_ROLE = "slurmclient"
"""What the seed follows; its files do not say so."""

FILE_NAME = r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}(\+[a-z][a-z0-9_-]{0,47})?\.json"
DIRECTORY = r"/[^\x00-\x1f\x7f]*"
SERVICE = r"[A-Za-z0-9][A-Za-z0-9:_.@-]{0,127}"


class State:
    """`registered`: targets directory -> names of the files that may lie there because of this node."""

    def __init__(
        self,
        host: str,
        *,
        retries: Optional[dict[str, Attempts]] = None,
        registered: Optional[dict[str, list[str]]] = None,
    ) -> None:
        self.host = host
        self.has: Optional[bool] = None
        """The last known role; None when BCM never said, or not about this role and host."""
        self.since: Optional[float] = None
        self.last_check: Optional[float] = None
        """When BCM last answered. Seconds since 1970, as `since`."""
        self.retries = retries or {}
        self.registered = registered or {}
        self.clusters: list[str] = []
        """The labels `cluster` that those files may have, besides that of the configuration."""
        self.started: list[str] = []
        """The services that we started and that may run."""

    def forget(self) -> None:
        """What BCM said is about another name or role than the present one; what we did is not forgotten."""
        self.has = self.since = self.last_check = None

    def record(self, directory: str, names: set[str]) -> None:
        """Exactly these names lie in a directory now, or may."""
        if names:
            self.registered[directory] = sorted(names)
        else:
            self.registered.pop(directory, None)


def encode(state: State, role: str) -> bytes:
    """The file's content for a followed role."""
    retries = {service: _attempts_out(attempts) for service, attempts in sorted(state.retries.items())}
    document = {
        "has_slurmclient_role": state.has,  # the seed's name for it, whichever role is followed
        "last_check": _time_out(state.last_check),
        "retry_state": retries,
        "role": role,
        "since": _time_out(state.since),
        "registered": state.registered,
        "clusters": state.clusters,
        "started": state.started,
    }
    return (json.dumps(document, indent=2) + "\n").encode()


def decode(content: bytes, host: str, role: str, targets: str) -> State:
    """A file of ours or of the seed, which kept no list: its node registered in `targets`. What was known about
    another role is not believed. Raises ValueError, also for a file that somebody damaged in a way that is still JSON.
    """
    try:
        document = _typed(json.loads(content), dict)
        state = State(host, retries=_retries(document), registered=_registered(document, host, targets))
        state.clusters = [_typed(label, str) for label in _typed(document.get("clusters", []), list)]
        state.started = _services(document)
        has = document["has_slurmclient_role"]
        if document.get("role", SEED_ROLE) == role and has is not None:
            state.has = _typed(has, bool)
            state.since = _time_in(document.get("since"))
            state.last_check = _time_in(document.get("last_check"))
        return state
    except (KeyError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ValueError(f"{str(value)[:40]!r} is not of type {kind.__name__}")
    return value


def _retries(document: dict[str, Any]) -> dict[str, Attempts]:
    retries = {}
    for service, found in _typed(document.get("retry_state", {}), dict).items():
        last, following = (_time_in(_typed(found, dict).get(key)) for key in ("last_attempt", "next_attempt"))
        count = _typed(found.get("attempts", 0), int)
        if count > 0 and last is not None:
            slow = _typed(found.get("failed_permanently", False), bool)
            retries[service] = Attempts(count, last, last if following is None else following, slow)
    return retries


def _attempts_out(attempts: Attempts) -> dict[str, Any]:
    return {
        "attempts": attempts.made,
        "last_attempt": _time_out(attempts.last),
        "next_attempt": _time_out(attempts.next),
        "failed_permanently": attempts.slow,
    }


def _registered(document: dict[str, Any], host: str, targets: str) -> dict[str, list[str]]:
    if "registered" not in document:
        name = f"{host}.json"
        return {targets: [name]} if document["has_slurmclient_role"] and re.fullmatch(FILE_NAME, name) else {}
    registered = {}
    for directory, names in _typed(document["registered"], dict).items():
        # They are removed one day: a damaged file must not lead us elsewhere.
        if not re.fullmatch(DIRECTORY, directory) or not all(
            isinstance(name, str) and re.fullmatch(FILE_NAME, name) for name in _typed(names, list)
        ):
            raise ValueError("registered has something that is no target file")
        os.fsencode(directory)
        registered[directory] = list(names)
    return registered


def _services(document: dict[str, Any]) -> list[str]:
    found = [_typed(name, str) for name in _typed(document.get("started", []), list)]
    if not all(re.fullmatch(SERVICE, name) for name in found):  # they are stopped one day
        raise ValueError("started has something that is no service")
    return found


def _time_out(seconds: Optional[float]) -> Optional[str]:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).isoformat()
    except (OverflowError, OSError, ValueError):  # a clock beyond the year 9999
        return None


def _time_in(text: Optional[str]) -> Optional[float]:
    """The seed writes the node's local time without saying so; Python takes it as that."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(_typed(text, str)).timestamp()
    except (OverflowError, OSError) as error:
        raise ValueError(f"{text!r} is no time") from error
