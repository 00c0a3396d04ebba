"""An answer of HTTP/1.1 (RFC 9112), read from a stream. The module http.client would cost every node a megabyte."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

PIECE = 64 * 1024
LONGEST_LINE = 64 * 1024
MOST_FIELDS = 100
_STATUS = re.compile(rb"HTTP/1\.[0-9] +([1-9][0-9]{2})( .*)?")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(;.*)?")


class NoHttp(Exception):
    """What came is not HTTP, or not all of it."""


class Answer:
    """To make one reads all but the body. Raises NoHttp, and OSError where nothing came at all, as the stream may."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.status, self._fields = 0, {"": ""}
        while self.status < 200:  # those below say that the answer is yet to come
            self.status, self._fields = self._first(), self._read_fields()

    def field(self, name: str) -> str:
        """The value of a header field, those of one that is there more than once with commas; empty without it."""
        return self._fields.get(name.lower(), "")

    def body(self) -> Iterator[bytes]:
        """All of it, in pieces; raises NoHttp when it is not whole."""
        length = self.field("Content-Length")
        if self.status in {204, 304}:
            return
        if self.field("Transfer-Encoding").lower() == "chunked":
            yield from self._chunks()
        elif length.isascii() and length.isdigit():
            yield from self._exactly(int(length))
        else:
            while piece := self._stream.read(PIECE):
                yield piece

    def _first(self) -> int:
        line = self._stream.readline(LONGEST_LINE)
        if not line:
            raise ConnectionResetError
        found = _STATUS.fullmatch(line.rstrip(b"\r\n"))
        if not found:
            raise NoHttp
        return int(found[1])

    def _read_fields(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        for _ in range(MOST_FIELDS + 1):
            line = self._line().decode("latin-1")
            if not line:
                return fields
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip(" \t")
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        raise NoHttp

    def _chunks(self) -> Iterator[bytes]:
        while size := self._size():
            yield from self._exactly(size)
            self._line()  # the end of the one that it is in

    def _size(self) -> int:
        found = _SIZE.fullmatch(self._line())
        if not found:
            raise NoHttp
        return int(found[1], 16)

    def _exactly(self, length: int) -> Iterator[bytes]:
        while length:
            piece = self._stream.read(min(PIECE, length))
            if not piece:
                raise NoHttp
            length -= len(piece)
            yield piece

    def _line(self) -> bytes:
        line = self._stream.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise NoHttp
        return line.rstrip(b"\r\n")
