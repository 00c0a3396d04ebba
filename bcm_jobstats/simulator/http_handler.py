"""One HTTPS connection: who is calling, what for, and the answer. Loaded with the first connection, not before."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from bcm_jobstats.simulator import jsonrpc, rest, tokens
from bcm_jobstats.simulator.faults import (
    HTTP_CUT,
    HTTP_ERROR,
    HTTP_GARBAGE,
    HTTP_HANG,
    HTTP_STATUS,
    DroppedError,
)
from bcm_jobstats.simulator.http_version import version
from bcm_jobstats.simulator.json_words import Caller
from bcm_jobstats.simulator.jsonrpc import Reply, told
from bcm_jobstats.simulator.pki_reading import Identity, read

if TYPE_CHECKING:
    from bcm_jobstats.simulator.https import Https

LARGEST = 64 << 20
"""The bytes of a request that are read."""

PYTHONCM = "/pythoncm"
"""The path at which the stand-in of pythoncm speaks JSON: the simulator's own."""

GARBAGE = b"<html><body>It works!</body></html>"


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: Https  # type: ignore[assignment]  # all that the base class needs of a server
    protocol_version = "HTTP/1.1"
    server_version = "CMDaemon"
    sys_version = ""
    wbufsize = -1

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: requests are in the daemon's log for tests."""

    def setup(self) -> None:
        """Without Nagle's algorithm: an answer is two writes."""
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        """REST."""
        self._serve()

    def do_POST(self) -> None:
        """JSON-RPC."""
        self._serve()

    def _serve(self) -> None:
        size = _number(self.headers.get("Content-Length", "0"))
        try:
            url = urlsplit(self.path)
        except ValueError:
            size = None
        if size is None or size > LARGEST:
            self.close_connection = True
            self._send(Reply(told("bad request"), 400 if size is None else 413))
            return
        body = self.rfile.read(size)
        other = self.server.elsewhere()  # UnreachableError when no head is active
        if other:
            self.server.daemon.record({"redirect": url.path})
            self._send(Reply(None, 307, {"Location": f"https://{other}{self.path}"}))
            return
        self._answer(url.path, dict(parse_qsl(url.query)), body)

    def _answer(self, path: str, query: dict[str, str], body: bytes) -> None:
        faults = self.server.daemon.faults
        if faults.strike(HTTP_HANG):
            faults.hang()
        status, garbage, error = (faults.strike(kind) for kind in (HTTP_STATUS, HTTP_GARBAGE, HTTP_ERROR))
        cut = bool(faults.strike(HTTP_CUT))
        plain = path.rstrip("/")
        indent, tagged = None, False
        if self.command == "POST" and plain in ("/json", PYTHONCM):
            web = self.server.web if plain == "/json" else self.server.web.library
            reply = self._refusal(status, error) or jsonrpc.answer(web, self._caller(), self._token(), body)
        elif plain == PYTHONCM:
            reply = Reply(version(self.server.daemon.profile))
        else:
            self.server.daemon.record({"rest": plain})
            reply = self._refusal(status, error) or self._rest(plain, query)
            tagged = self.server.daemon.switches["rest_etag"] == "present"
            indent = min(_number(query.get("indent", "")) or 0, 8) or None
        if garbage:
            self._write(200, GARBAGE, {"Content-Type": "text/html"})
        else:
            self._send(reply, indent, cut=cut, tagged=tagged)

    def _refusal(self, status: Any, error: Any) -> Reply | None:
        """The answer of a fault, in place of the call: nothing is done then."""
        if status:
            return Reply(told(status.message), status.status)
        return Reply(told(error.message)) if error else None

    def _rest(self, path: str, query: dict[str, str]) -> Reply:
        """REST. Which status a refusal has is not documented; 401 and 403 are what HTTP has for it."""
        caller = self._caller()
        if not caller.profile:
            return Reply(told("Authentication required"), 401, {"WWW-Authenticate": 'Basic realm="CMDaemon"'})
        if not tokens.allowed(self.server.daemon, caller.profile, rest.TOKENS.get(path, "")):
            return Reply(told(f"Your certificate (profile:{caller.profile}) does not allow access to {path}"), 403)
        value = rest.get(self.server.web, path, query) if self.command == "GET" else None
        return Reply(told("Not found"), 404) if value is None else Reply(value)

    def _caller(self) -> Caller:
        """Who calls: by certificate, session or password; nobody, when by none of these."""
        der = self.server.certificate_of(self.connection)
        web = self.server.web
        found = read(der) if der else web.session(self._token())
        who = found or web.basic(self.headers.get("Authorization", "")) or Identity()
        return Caller(who.name, who.profile, self.server.link_of(self.connection))

    def _token(self) -> str:
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(jsonrpc.COOKIE)
        except CookieError:
            return ""
        return cookie.value if cookie else ""

    def _send(self, reply: Reply, indent: int | None = None, *, cut: bool = False, tagged: bool = False) -> None:
        separators = (",", ":") if reply.minify else None
        body = b"" if reply.status == 307 else json.dumps(reply.value, indent=indent, separators=separators).encode()
        status, headers = reply.status, {"Content-Type": "application/json", **reply.headers}
        if tagged and status == 200:
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            if self.headers.get("If-None-Match") == headers["ETag"]:
                status, body = 304, b""
        self._write(status, body, headers, cut=cut)

    def _write(self, status: int, body: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
        if body and "gzip" in self.headers.get("Accept-Encoding", ""):
            body, headers = gzip.compress(body, 1), {**headers, "Content-Encoding": "gzip"}
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.wfile.flush()
        if cut:
            raise DroppedError


def _number(text: str) -> int | None:
    """A number of up to twelve digits, else None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None
