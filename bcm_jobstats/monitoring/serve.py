"""`targets serve`: Prometheus' HTTP service discovery, for one that does not mount the shared storage.

GET /targets answers with all targets of the directory as they are now; GET /-/healthy with whether it can. When shared
storage is gone or hangs, the answer is 503, and Prometheus keeps what it had.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
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
AT_ONCE, OF_ONE = 32, 8
"""Requests that are answered at the same time, and those of one address; who comes then is turned away at once."""
LONGEST_LINE = 4096
"""Bytes of a request line: Prometheus' has 25."""
TO_ASK, TO_TAKE = 5.0, 10.0
"""Seconds that a client may take for its whole request, and for the whole answer."""


class CannotListen(JobstatsError):
    """The address is taken, or not one of this machine."""

    status = ExitStatus.FAILED


class NoAnswer(JobstatsError):
    """What stands in the directory cannot be told now."""


class Watched:
    """The directory, for any number of threads, with one line of log for each change of what there is to say."""

    def __init__(self, directory: Path) -> None:
        self._look = Bounded(directory, Live(directory).look)
        self._lock = threading.Lock()
        self._told = ""

    def answer(self) -> Answer:
        """The targets now. Raises NoAnswer, whatever stands in its way."""
        try:
            answer = self._look()
        except Exception as error:
            cause = (str(error) or type(error).__name__).splitlines()[0]
            self._tell(f"{cause}; answering 503 until that is over")
            raise NoAnswer("targets", cause, "Is shared storage in order?") from error
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
    timeout = TO_TAKE

    def parse_request(self) -> bool:
        """Also the headers are read then."""
        try:
            return super().parse_request()
        finally:
            self.server.has_asked(self.connection)

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
        except NoAnswer:
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
        self._lock = threading.Lock()
        self._busy: Counter[str] = Counter()
        self._asking: dict[Any, float] = {}
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Without HTTPServer's look-up of this machine's name, which may wait for a name server."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        host, port = self.socket.getsockname()[:2]
        self.shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a thread, unless there are enough."""
        address = client_address[0]
        with self._lock:
            free = sum(self._busy.values()) < AT_ONCE and self._busy[address] < OF_ONE
            if free:
                self._busy[address] += 1
                self._asking[request] = time.monotonic() + TO_ASK
        if not free:
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread is to be had
            self._leave(address)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In the thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._leave(client_address[0])

    def _leave(self, address: str) -> None:
        with self._lock:
            self._busy -= Counter([address])

    def has_asked(self, request: Any) -> None:
        """The request is whole: from now on it is the server that takes its time."""
        with self._lock:
            self._asking.pop(request, None)

    def shutdown_request(self, request: Any) -> None:
        """Forgotten before it is closed: `service_actions` must not meet another connection of the same number."""
        self.has_asked(request)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Several times a second: end the requests that take too long, however slowly their bytes drip in."""
        now = time.monotonic()
        with self._lock:
            for request in [one for one, until in self._asking.items() if until < now]:
                del self._asking[request]
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that goes away or is slow is no news."""


def server_at(address: tuple[str, int], directory: Path) -> _Server:
    """It listens, and answers once `serve_forever` is called. Raises OSError, OverflowError."""
    return _Server(address, Watched(directory))


def serve(directory: Path, listen: str) -> None:
    """Answer until SIGTERM or SIGINT. Raises CannotListen."""
    host, _, port = listen.rpartition(":")
    try:
        server = server_at((host.strip("[]"), int(port)), directory)
    except (OSError, OverflowError, ValueError) as error:
        cause = f"cannot be listened on ({getattr(error, 'strerror', None) or error})"
        raise CannotListen(f"address {listen}", cause, "Give another one: --listen ADDRESS:PORT.") from error

    def end(number: int, frame: object) -> None:
        # Not from this thread, which is the one that serves.
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    print(f"listening on {server.shown}, for {directory}", file=sys.stderr, flush=True)
    threading.Thread(target=_first_look, args=(server.watched,), daemon=True).start()
    try:
        server.serve_forever(poll_interval=0.2)
    finally:
        server.server_close()


def _first_look(watched: Watched) -> None:
    """Tell in the log what there is, before anybody asks."""
    try:
        watched.answer()
    except NoAnswer:
        return
