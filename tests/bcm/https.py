"""A server that answers as a test tells it to, over mutual TLS with the certificates of a simulated cluster."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Optional

from bcm_jobstats.simulator import pki

Answer = Callable[["Handler"], None]


@dataclass
class Server:
    """What it answers, the last one again and again, and what it was asked: method, path, body."""

    address: str = ""
    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    """Ends every answer that hangs."""

    def says(self, *answers: Answer) -> None:
        """Answer so from now on, and forget what was asked."""
        self.answers[:] = answers
        self.asked.clear()

    def next(self) -> Answer:
        """The next answer."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    told: Server

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: Any) -> None:
        self.told.asked.append((self.command, self.path, body))
        self.told.next()(self)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


def text(body: bytes, status: int = 200, length: Optional[int] = None, **headers: str) -> Answer:
    """An answer with this body; `length` other than the body's own breaks off."""

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Connection", "close")
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)
        handler.wfile.flush()
        handler.close_connection = True

    return answer


def said(document: object, status: int = 200) -> Answer:
    """An answer of JSON."""
    return text(json.dumps(document).encode(), status)


def hangs(handler: Handler) -> None:
    """No answer until the test is over."""
    handler.told.released.wait()
    handler.close_connection = True


def trickles(handler: Handler) -> None:
    """An answer that comes byte by byte and never ends, each byte well before a timeout."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not handler.told.released.wait(0.02):
        handler.wfile.write(b" ")
        handler.wfile.flush()
    handler.close_connection = True


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what many tests are about."""


@contextmanager
def serving(directory: Path, host: str = "127.0.0.1") -> Iterator[Server]:
    """A server whose authority and certificates are under `directory`, on a port that the kernel chooses."""
    server = Server()
    handler = type("Told", (Handler,), {"told": server})
    listener = _Quiet((host, 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / pki.SERVER, directory / pki.SERVER_KEY)
    context.load_verify_locations(directory / pki.CA)
    context.verify_mode = ssl.CERT_REQUIRED
    listener.socket = context.wrap_socket(listener.socket, server_side=True, do_handshake_on_connect=False)
    server.address = f"{host}:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        listener.shutdown()
        listener.server_close()
        thread.join()
