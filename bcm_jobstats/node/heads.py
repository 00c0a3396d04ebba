"""GET /rest/v1/device of the head nodes, one after the other until one answers (bcm-facts §8.2, §10)."""

from __future__ import annotations

import ssl
import time
from typing import NamedTuple, Optional

from bcm_jobstats.node import https, tls
from bcm_jobstats.node.answer import Answer, NoHttp
from bcm_jobstats.node.config import Config
from bcm_jobstats.node.devices import REMEDY, Devices, Reader
from bcm_jobstats.node.lookup import Lookup
from bcm_jobstats.node.ports import Unknown
from bcm_jobstats.node.tlstrouble import CHECK

PATH = "/rest/v1/device"
TOTAL = 20.0
"""Seconds for one head node with everything that it redirects to."""
REDIRECTS = 3
"""That are followed: a passive head sends its clients to the active one (bcm-facts §10)."""
LONGEST_TAG = 1000


class _Last(NamedTuple):
    """The last answer with a mark of its version (HTTP's ETag), by which the next question can be answered `the same`;
    whether CMDaemon has such marks is not confirmed (capability rest-etag)."""

    address: https.Address
    tag: str
    devices: Devices


class Heads:
    """All head nodes. The one that answered last is asked first."""

    def __init__(self, config: Config, secure: tls.Tls) -> None:
        self._config, self._tls = config, secure
        self._lookup = Lookup()
        self._first = config.heads[0]
        self._last: Optional[_Last] = None
        self.same = False
        """Whether the last answer was `the same as before`."""

    @property
    def tag(self) -> str:
        """The mark of the last answer; empty when it had none."""
        return self._last.tag if self._last else ""

    def ask(self) -> Devices:
        """What the first head node that can tell says; raises Unknown with what is wrong with each of them."""
        context = self._tls.context()
        wrong: dict[str, Unknown] = {}
        for head in dict.fromkeys((self._first, *self._config.heads)):
            try:
                devices = self._follow(head, context)
            except Unknown as error:
                wrong[head] = error
            else:
                self._first = head
                return devices
        raise _together([wrong[head] for head in dict.fromkeys(self._config.heads)])

    def _follow(self, head: str, context: ssl.SSLContext) -> Devices:
        subject, ends = f"head node {head}", time.monotonic() + TOTAL
        address, path = (head, self._config.port), PATH
        try:
            for _ in range(REDIRECTS + 1):
                name, tag = self._config.server_name or address[0], self._tag_for(address)
                with https.asked(address, path, https.Terms(context, name, tag, ends, self._lookup)) as answer:
                    if answer.status not in {301, 302, 307, 308}:
                        return self._judged(subject, address, answer)
                    address, path = https.target(subject, address, answer.field("Location"))
        except (OSError, NoHttp, ValueError) as error:
            raise Unknown(subject, *https.cause(error)) from error
        raise Unknown(subject, f"redirects more than {REDIRECTS} times", CHECK)

    def _tag_for(self, address: https.Address) -> str:
        return self._last.tag if self._last and self._last.address == address else ""

    def _judged(self, subject: str, address: https.Address, answer: Answer) -> Devices:
        status, last = answer.status, self._last
        self.same = status == 304 and last is not None and last.address == address
        if self.same and last:
            return last.devices
        if status in {401, 403}:
            remedy = "Its profile needs GET_DEVICE_TOKEN: bcm-jobstats certificate --for role-monitor"
            raise Unknown(subject, f"refuses this node's certificate (HTTP status {status})", remedy)
        if status == 404:
            remedy = "bcm_port in config.json has to be CMDaemon's, 8081."
            raise Unknown(subject, f"knows no {PATH} (HTTP status 404)", remedy)
        if status != 200:
            cause = f"{'cannot' if status >= 500 else 'does not'} answer with its devices (HTTP status {status})"
            raise Unknown(subject, cause, REMEDY)
        devices = _read(subject, answer, self._config.role)
        tag = answer.field("ETag")
        sendable = bool(tag) and len(tag) < LONGEST_TAG and tag.isascii() and tag.isprintable()
        self._last = _Last(address, tag, devices) if sendable else None
        return devices


def _read(subject: str, answer: Answer, role: str) -> Devices:
    reader = Reader(subject, role)
    for part in https.parts(subject, answer):
        reader.feed(part)
    return reader.end()


def _together(wrong: list[Unknown]) -> Unknown:
    """One error for all head nodes, in the order of the configuration."""
    if len(wrong) == 1:
        return wrong[0]
    causes = "; ".join(f"{error.subject}: {error.cause}" for error in wrong)
    return Unknown("BCM", f"no head node tells: {causes}", " ".join(dict.fromkeys(error.remedy for error in wrong)))
