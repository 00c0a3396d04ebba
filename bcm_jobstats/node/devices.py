"""The list of devices as CMDaemon tells it (`/rest/v1/device`, bcm-facts §8.2): which of them have the followed role.

It is read piece by piece, so that a cluster of any size costs an agent little memory, and strictly: what is not
exactly such a list, and whole, is not believed at all.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from typing import NamedTuple, Optional

from bcm_jobstats.node.ports import NotListed, Unknown

LARGEST = 16 * 1024 * 1024
"""Bytes of one answer, unpacked: what CMDaemon tells of 10,000 nodes is a few MB."""
LARGEST_ENTRY = 256 * 1024
"""Characters of one device in it."""
MOST = 50_000
"""Names in one answer: each costs an agent memory."""
LONGEST_WORDS = 200
"""Characters of what CMDaemon says that are shown."""
REMEDY = "Check CMDaemon on the head node: systemctl status cmd; /var/log/cmdaemon"
_SPACE = re.compile(r"[ \t\n\r]*")
_START, _FIRST, _ENTRY, _NEXT, _OVER, _OTHER = range(6)
"""What may come: the list; its first device or its end; a device; a comma or the end; nothing; it is no list."""


class Devices(NamedTuple):
    """Short name in lower case -> whether that device has the role; None where two devices have that name."""

    roles: Mapping[str, Optional[bool]]

    def has(self, host: str) -> bool:
        """Whether this device has the role; raises NotListed when it is not listed, or twice."""
        if host not in self.roles:
            remedy = "BCM has to have a device with the node's host name; until then nothing is changed here."
            raise NotListed(f"device {host}", "is not in BCM's list of devices", remedy)
        found = self.roles[host]
        if found is None:
            raise NotListed(f"device {host}", "is in BCM's list of devices twice", "Rename one of the two in BCM.")
        return found


class _Odd(Exception):
    """JSON of a kind that CMDaemon does not write."""


class Reader:
    """Takes an answer in pieces; after the last one it tells the devices."""

    def __init__(self, subject: str, role: str) -> None:
        """`subject` is what errors are about: who answers so."""
        self._subject, self._role = subject, role.lower()
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._json = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
        self._state, self._text, self._size = _START, "", 0
        self._found: dict[str, Optional[bool]] = {}
        self._any = False

    def feed(self, piece: bytes) -> None:
        """The next bytes; raises Unknown as soon as they cannot be part of a list of devices."""
        self._size += len(piece)
        if self._size > LARGEST:
            raise self._unknown(f"its list of devices is larger than {LARGEST >> 20} MiB")
        self._text += self._decoded(piece)
        at = 0
        while True:
            at = _SPACE.match(self._text, at).end()  # type: ignore[union-attr]  # it matches nothing at all, too
            after = self._step(at) if at < len(self._text) else at
            if after == at:
                break
            at = after
        self._text = self._text[at:]
        if len(self._text) > LARGEST_ENTRY:
            raise self._no_json()

    def end(self) -> Devices:
        """All devices; raises Unknown when the answer is not whole, or none of the devices has any role.

        Heads always have roles (bcm-facts §8.2): a list without any is one of a CMDaemon that does not know them yet.
        """
        self._decoded(b"", final=True)
        if self._state == _OTHER:
            raise self._other()
        if self._state == _START:
            raise self._unknown("its answer is empty")
        if self._state != _OVER:
            raise self._unknown("its answer breaks off or is not JSON")
        if not self._any:
            raise self._unknown("its list has no device with any role, which cannot be")
        return Devices(self._found)

    def _step(self, at: int) -> int:
        """Take what begins there; the position after it, the same one when it is not there as a whole yet."""
        sign = self._text[at]
        if self._state == _START:
            self._state = _FIRST if sign == "[" else _OTHER
            return at + (sign == "[")
        if self._state == _OTHER:
            return at
        if self._state == _OVER:
            raise self._unknown("its answer goes on after its end")
        if sign == "]" and self._state in {_FIRST, _NEXT}:
            self._state = _OVER
            return at + 1
        if self._state == _NEXT:
            if sign != ",":
                raise self._no_json()
            self._state = _ENTRY
            return at + 1
        if sign != "{":
            raise self._no_list()
        return self._entry(at)

    def _entry(self, at: int) -> int:
        try:
            device, end = self._json.raw_decode(self._text, at)
        except ValueError:
            return at  # its end may be in the next piece
        except (_Odd, RecursionError) as error:
            raise self._no_json() from error
        self._take(device)
        self._state = _NEXT
        return end

    def _take(self, device: dict[str, object]) -> None:
        name, roles = device.get("hostname"), device.get("roles", [])
        if not isinstance(name, str) or not name:
            raise self._unknown("its list has a device without a host name")
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            raise self._unknown("its list has a device whose roles are not a list of names")
        self._any = self._any or bool(roles)
        short = name.split(".", 1)[0].lower()
        has = self._role in {role.lower() for role in roles}
        self._found[short] = None if short in self._found else has
        if len(self._found) > MOST:
            raise self._unknown(f"its list has more than {MOST:,} devices")

    def _decoded(self, piece: bytes, *, final: bool = False) -> str:
        try:
            return self._decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            raise self._unknown("its answer is not UTF-8") from error

    def _other(self) -> Unknown:
        """What is wrong with an answer that is no list; an error comes with HTTP status 200 (bcm-facts §8.1)."""
        try:
            told = self._json.decode(self._text)
        except (ValueError, _Odd, RecursionError):
            return self._no_json()
        if isinstance(told, dict) and "errormessage" in told:
            words = " ".join(str(told["errormessage"]).split())[:LONGEST_WORDS].encode("utf-8", "replace").decode()
            remedy = "Its profile needs GET_DEVICE_TOKEN: bcm-jobstats certificate --for role-monitor"
            return Unknown(self._subject, f"says: {words or 'nothing'}", remedy if "allow" in words else REMEDY)
        return self._no_list()

    def _no_json(self) -> Unknown:
        return self._unknown("its answer is not JSON")

    def _no_list(self) -> Unknown:
        return self._unknown("its answer is not a list of devices")

    def _unknown(self, cause: str) -> Unknown:
        return Unknown(self._subject, cause, REMEDY)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object; one in which two values have one key is not believed, as only one of them would be seen."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Odd
    return found


def _constant(word: str) -> None:
    """NaN and Infinity are no JSON."""
    raise _Odd
