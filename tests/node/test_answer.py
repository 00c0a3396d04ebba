"""Answers of HTTP as http.client understands them, which the agent does without."""

from __future__ import annotations

import io
from http.client import HTTPException, HTTPResponse, IncompleteRead

import pytest

from bcm_jobstats.node.answer import LONGEST_LINE, MOST_FIELDS, Answer, NoHttp

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
FIELDS = ("ETag", "Location", "Content-Encoding")

SOUND = {
    "with its length": OK + b"Content-Length: 3\r\n\r\nabc",
    "more than its length": OK + b"Content-Length: 3\r\n\r\nabcdef",
    "no length": OK + b"\r\nabc",
    "a length that is none": OK + b"Content-Length: x\r\n\r\nabc",
    "a length below nothing": OK + b"Content-Length: -3\r\n\r\nabc",
    "large": OK + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000,
    "chunks": CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    "chunks with more": CHUNKED + b"3;x=y\r\nabc\r\nA \r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
    "chunks and a length": OK + b"Content-Length: 99\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "nothing": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not modified": b'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: "1"\r\n\r\n',
    "no reason": b"HTTP/1.1 503\r\nContent-Length: 0\r\n\r\n",
    "an old version": b"HTTP/1.0 200 OK\r\n\r\nabc",
    "go on": b"HTTP/1.1 100 Continue\r\nETag: none\r\n\r\n" + OK + b"\r\nabc",
    "fields of any case": OK + b'eTAG:   "1" \r\nLOCATION:/x\r\nX-Empty:\r\n\r\n',
    "a field of other letters": OK + b'ETag: "\xe9"\r\n\r\n',
    "a field twice": OK + b"Content-Encoding: gzip\r\nContent-Encoding: br\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
}
BROKEN = {
    "another protocol": b"SSH-2.0-x\r\n\r\n",
    "no status": b"HTTP/1.1\r\n\r\n",
    "a status of words": b"HTTP/1.1 OK\r\n\r\n",
    "a long line": OK + b"X: " + b"x" * LONGEST_LINE + b"\r\n\r\n",
    "many fields": OK + b"X: x\r\n" * (MOST_FIELDS + 1) + b"\r\n",
    "a body cut": OK + b"Content-Length: 4\r\n\r\nabc",
    "a chunk cut": CHUNKED + b"4\r\nabc",
    "no last chunk": CHUNKED + b"3\r\nabc\r\n",
    "a size that is none": CHUNKED + b"x\r\nabc",
    "a long size": CHUNKED + b"1" * LONGEST_LINE + b"\r\nabc",
}


class Wire:
    """A socket that has this to read."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.content)


def understood(content: bytes) -> tuple[int, list[str], bytes]:
    answer = Answer(io.BytesIO(content))
    return answer.status, [answer.field(name) for name in FIELDS], b"".join(answer.body())


def by_python(content: bytes) -> tuple[int, list[str], bytes]:
    with HTTPResponse(Wire(content), method="GET") as answer:  # type: ignore[arg-type]
        answer.begin()
        status, fields = answer.status, [(answer.getheader(name) or "").strip() for name in FIELDS]
        body = answer.read()
        return status, fields, body


@pytest.mark.parametrize("name", SOUND)
def test_what_is_sound_is_understood_as_python_does(name: str) -> None:
    assert understood(SOUND[name]) == by_python(SOUND[name])


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_so_to_python_too(name: str) -> None:
    with pytest.raises((HTTPException, IncompleteRead)):
        by_python(BROKEN[name])
    with pytest.raises(NoHttp):
        understood(BROKEN[name])


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"", ConnectionResetError), (OK, NoHttp), (OK + b"X: x", NoHttp), (CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n", NoHttp)],
)
def test_what_ends_too_soon_is_not_taken_for_whole(content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        understood(content)
