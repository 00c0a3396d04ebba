"""One question over HTTPS: bounded in time as a whole, its answer unpacked, and what can go wrong in plain words."""

from __future__ import annotations

import io
import os
import re
import socket
import ssl
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from bcm_jobstats.node.answer import PIECE, Answer, NoHttp
from bcm_jobstats.node.devices import LARGEST, REMEDY
from bcm_jobstats.node.lookup import Lookup, Place
from bcm_jobstats.node.ports import Unknown
from bcm_jobstats.node.tlstrouble import CHECK, trouble

CONNECT = 5.0
"""Seconds for a connection."""
Address = tuple[str, int]
LOCATION = re.compile(
    r"(?:https://(\[[0-9a-f:]+\]|[^][/?#@:]+)(?::([0-9]{1,5}))?(?=[/?#]|$)|(?=/(?!/)))([/?][^#]*)?(#.*)?", re.I
)
"""Of a redirect: an https address, or a path of the same one. urllib.parse would cost every node 400 kB for it."""


class Terms(NamedTuple):
    """How a question is asked. `name` is the one that the other side's certificate must carry, `tag` the mark of the
    answer that is known already, `ends` the moment (time.monotonic) by which all must be over, but for `lookup`."""

    context: ssl.SSLContext
    name: str
    tag: str
    ends: float
    lookup: Lookup


@contextmanager
def asked(address: Address, path: str, terms: Terms) -> Iterator[Answer]:
    """GET; the answer is read in the block. Raises OSError or NoHttp, as reading it does."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {_host(address)}", "Accept: application/json", "Accept-Encoding: gzip"]
    lines += ["User-Agent: bcm-role-monitor", "Connection: close"]
    lines += [f"If-None-Match: {terms.tag}"] if terms.tag else []
    with _connected(address, terms) as link:
        link.settimeout(_left(terms.ends))
        name = terms.name.encode("ascii")  # as bytes, see Lookup
        with terms.context.wrap_socket(link, server_hostname=name) as secure:
            secure.settimeout(_left(terms.ends))
            _send(secure, "\r\n".join([*lines, "", ""]).encode("ascii"))
            with io.BufferedReader(_Stream(secure, terms.ends), PIECE) as stream:
                yield Answer(stream)


def _connected(address: Address, terms: Terms) -> socket.socket:
    """A connection to the first place of a name that takes one; raises what is wrong with the last."""
    places = terms.lookup.places(*address)
    for place in places[:-1]:
        with suppress(OSError):
            return _link(place, terms.ends)
    return _link(places[-1], terms.ends)


def _link(place: Place, ends: float) -> socket.socket:
    family, kind, protocol, _, where = place
    link = socket.socket(family, kind, protocol)
    try:
        link.settimeout(min(CONNECT, _left(ends)))
        link.connect(where)
    except BaseException:  # such as a signal
        link.close()
        raise
    return link


def _send(secure: ssl.SSLSocket, request: bytes) -> None:
    """In TLS 1.3 the other side may have refused our certificate already: then what it said of it is the error."""
    try:
        secure.sendall(request)
    except OSError:
        secure.recv(1)
        raise


class _Stream(io.RawIOBase):
    """A connection; all that is read of it is bounded by one moment, however it trickles in."""

    def __init__(self, link: socket.socket, ends: float) -> None:
        super().__init__()
        self._link, self._ends = link, ends

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._link.settimeout(_left(self._ends))
        return self._link.recv_into(buffer)


def _left(ends: float) -> float:
    """Seconds until then; raises socket.timeout when there are none."""
    left = ends - time.monotonic()
    if left <= 0:
        raise socket.timeout
    return left


def parts(subject: str, answer: Answer) -> Iterator[bytes]:
    """The whole body, unpacked; raises Unknown when it is not whole, damaged, or larger than LARGEST even as packed."""
    packing = answer.field("Content-Encoding").lower() or "identity"
    if packing not in {"identity", "gzip"}:
        raise Unknown(subject, "its answer is packed in an unknown way", REMEDY)
    unpacker, size = zlib.decompressobj(31) if packing == "gzip" else None, 0
    try:
        for piece in answer.body():
            size += len(piece)
            if size > LARGEST:
                raise Unknown(subject, f"its list of devices is larger than {LARGEST >> 20} MiB", REMEDY)
            yield from _unpacked(unpacker, piece, subject) if unpacker else [piece]
    except NoHttp as error:
        raise Unknown(subject, "its answer breaks off", REMEDY) from error
    if unpacker and not unpacker.eof:
        raise Unknown(subject, "its answer breaks off", REMEDY)


def _unpacked(unpacker: Any, piece: bytes, subject: str) -> Iterator[bytes]:
    """What a piece holds, in parts: a small piece may unpack to more than there is memory."""
    while True:
        try:
            part = unpacker.decompress(piece, PIECE)
        except zlib.error as error:
            raise Unknown(subject, "its answer is damaged", REMEDY) from error
        yield part
        piece = unpacker.unconsumed_tail
        if unpacker.unused_data:
            raise Unknown(subject, "its answer goes on after its end", REMEDY)
        if not piece and len(part) < PIECE:
            return


def target(subject: str, address: Address, location: str) -> tuple[Address, str]:
    """Where a redirect leads to; the certificate goes nowhere but over TLS."""
    found = LOCATION.fullmatch(location)
    host, port, asked_for = found.group(1, 2, 3) if found else (None, None, None)
    there = (host.strip("[]").lower(), int(port or 443)) if host else address
    wanted = asked_for or "/"
    if not (found and there[1] < 1 << 16 and f"{there[0]}{wanted}".isascii() and f"{there[0]}{wanted}".isprintable()):
        raise Unknown(subject, "redirects to what is no https address", CHECK)
    return there, wanted if wanted[0] == "/" else f"/{wanted}"


def cause(error: Exception) -> tuple[str, str]:
    """What ended a connection, and the remedy, in the same words each time."""
    if isinstance(error, (socket.gaierror, UnicodeError)):  # the latter: no name at all
        return "its name cannot be resolved", "Check bcm_headnodes in config.json, and the node's name service."
    if isinstance(error, socket.timeout):
        return "does not answer in time", CHECK
    if isinstance(error, ssl.SSLError):
        return trouble(error)
    if isinstance(error, OSError):
        return f"no connection: {os.strerror(error.errno) if error.errno else 'it was ended'}", CHECK
    return "its answer is not HTTP, or breaks off", CHECK


def _host(address: Address) -> str:
    """As URLs have it."""
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
