"""What the HTTPS side of one daemon shares between its heads and connections."""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
from collections.abc import Collection, Iterable
from copy import copy
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Optional

from bcm_jobstats.simulator.commits import Change
from bcm_jobstats.simulator.json_uuids import Uuids

if TYPE_CHECKING:
    from bcm_jobstats.simulator.cmdaemon import CMDaemon
    from bcm_jobstats.simulator.pki_reading import Identity

USERS = "cmd/users.json"
"""The users who may log in with a password: ``{"root": {"password": …, "profile": "admin"}, …}``."""

_PROFILES = {"root": "admin", "alice": "readonly"}


class Web:
    """The daemon, the uuids of its objects, and the sessions that logged in."""

    def __init__(self, daemon: CMDaemon) -> None:
        self.daemon = daemon
        self.uuids = Uuids(daemon.directory / "cmd" / "uuids.json")
        self._users_file = daemon.directory / USERS
        self._sessions: dict[str, Identity] = {}
        self._lock = Lock()
        if not self._users_file.exists():
            _write_users(self._users_file)
        daemon.watchers.append(self.committed)
        self.way = "json"
        self._pinned: dict[str, str] = {}
        self.library = copy(self)
        """The same for pythoncm, which knows BCM's calls whatever the switches say a reader of facts finds."""
        self.library.way = "pythoncm"
        self.library._pinned = {"overlay_calls": "cmdevice", "json_references": "uuid"}

    def switch(self, name: str) -> str:
        """How a switch is for this kind of client."""
        return self._pinned.get(name) or self.daemon.switches[name]

    def committed(self, changes: Iterable[Change]) -> None:
        """After a commit, of cmsh or of JSON: uuids follow names."""
        for change in changes:
            if change.mine is None:
                self.uuids.forget("", change.mode, change.name)
            elif change.base is not None and change.key != change.name:
                self.uuids.renamed(change.mode, change.name, change.key)

    def copying(self) -> Collection[str]:
        """The images with a file operation in progress."""
        return self.daemon.images.copying

    def login(self, username: str, password: str) -> Optional[str]:
        """The token of a new session, None when the password is wrong."""
        who = self._user(username, password)
        if who is None:
            return None
        token = secrets.token_hex(16)
        with self._lock:
            self._sessions[token] = who
        return token

    def logout(self, token: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(token, None)

    def session(self, token: str) -> Optional[Identity]:
        """Who logged in and got this token."""
        return self._sessions.get(token)

    def basic(self, header: str) -> Optional[Identity]:
        """Who sent this Authorization header."""
        scheme, _, rest = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            username, _, password = base64.b64decode(rest, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return self._user(username, password)

    def _user(self, username: str, password: str) -> Optional[Identity]:
        from bcm_jobstats.simulator.pki_reading import Identity

        user = json.loads(self._users_file.read_text(encoding="utf-8")).get(username)
        if user is None or not secrets.compare_digest(user["password"].encode(), password.encode()):
            return None
        return Identity(username, user["profile"], username)


def _write_users(file: Path) -> None:
    """Passwords of their own for every simulator: others on this machine reach its port too."""
    users = {name: {"password": secrets.token_hex(12), "profile": profile} for name, profile in _PROFILES.items()}
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        json.dump(users, stream, indent=1)
