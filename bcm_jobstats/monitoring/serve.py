"""`targets serve`: Prometheus' HTTP service discovery, for one that does not mount the shared storage.

GET /targets answers with all targets of the directory as they are now; GET /-/healthy with whether it can. When shared
storage is gone or hangs, the answer is 503, and Prometheus keeps what it had.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any

from bcm_jobstats.errors import ExitStatus, JobstatsError, printable
from bcm_jobstats.monitoring.discovery import PATH
from bcm_jobstats.monitoring.live import Answer, Live
from bcm_jobstats.monitoring.registry import Bounded

HEALTHY = "/-/healthy"
AT_ONCE = 16
"""Requests that are answered at the same time."""
BUSY = 1.0
"""Seconds that a client waits for one of them to end."""
LONGEST_LINE = 4096
"""Bytes of a request line: Prometheus' has 25."""
SECONDS = 10.0
"""That a client may take between two bytes of its request or of the answer."""


class CannotListen(JobstatsError):
    """The address is taken, or not one of this machine."""

    status = ExitStatus.FAILED


class Watched:
    """The directory, for any number of threads, with one line of log for each change of what there is to say."""

    def __init__(self, directory: Path) -> None:
        self._look = Bounded(directory, Live(directory).look)
        self._lock = threading.Lock()
        self._told = ""

    def answer(self) -> Answer:
        """The targets now; a JobstatsError or OSError when shared storage does not tell."""
        try:
            answer = self._look()
        except (JobstatsError, OSError) as error:
            self._tell(str(error).splitlines()[0] + "; answering 503 until it is there")
            raise
        bad = f"; not usable: {', '.join(answer.faults)}" if answer.faults else ""
        self._tell(f"{answer.targets} targets in {answer.files} files{bad}")
        return answer

    def _tell(self, text: str) -> None:
        with self._lock:
            if text == self._told:
                return
            self._told = text
        print(printable(text), file=sys.stderr, flush=True)


class _Handler(BaseHTTPRequestHandler):
    """One request. The connection is closed after it (HTTP/1.0), so that none is held for nothing."""

    server: _Server
    server_version = "bcm-jobstats"
    sys_version = ""
    timeout = SECONDS

    def do_GET(self) -> None:
        """One of the two paths."""
        if len(self.requestline) > LONGEST_LINE:
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
        elif self.path not in {PATH, HEALTHY}:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self._answer()

    def _answer(self) -> None:
        try:
            answer = self.server.watched.answer()
        except (JobstatsError, OSError):
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "the targets directory does not answer")
            return
        if self.path == HEALTHY:
            self._send("text/plain; charset=utf-8", b"ok\n", "")
        elif self.headers.get("If-None-Match") == answer.etag:
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.send_header("ETag", answer.etag)
            self.end_headers()
        else:
            self._send("application/json", answer.text, answer.etag)

    def _send(self, kind: str, body: bytes, etag: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: Prometheus asks every few seconds."""


class _Server(ThreadingMixIn, HTTPServer):
    """A thread for each request, AT_ONCE of them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], watched: Watched) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.watched = watched
        self._free = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Without HTTPServer's look-up of this machine's name, which may wait for a name server."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        host, port = self.socket.getsockname()[:2]
        self.shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a thread when one is free; a client that meets none in time is turned away."""
        if not self._free.acquire(timeout=BUSY):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In the thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that goes away or is slow is no news."""


def serve(directory: Path, listen: str) -> None:
    """Answer until SIGTERM or SIGINT. Raises CannotListen."""
    host, _, port = listen.rpartition(":")
    watched = Watched(directory)
    try:
        server = _Server((host.strip("[]"), int(port)), watched)
    except (OSError, OverflowError, ValueError) as error:
        cause = f"cannot be listened on ({getattr(error, 'strerror', None) or error})"
        raise CannotListen(f"address {listen}", cause, "Give another one: --listen ADDRESS:PORT.") from error

    def end(number: int, frame: object) -> None:
        # Not from this thread, which is the one that serves.
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    print(f"listening on {server.shown}, for {directory}", file=sys.stderr, flush=True)
    threading.Thread(target=_first_look, args=(watched,), daemon=True).start()
    try:
        server.serve_forever(poll_interval=0.2)
    finally:
        server.server_close()


def _first_look(watched: Watched) -> None:
    """Tell in the log what there is, before anybody asks."""
    try:
        watched.answer()
    except (JobstatsError, OSError):
        return
