"""The daemon's socket: sessions of cmsh and orders of the admin plane, as JSON lines."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, Optional

from bcm_jobstats.simulator.admin import control
from bcm_jobstats.simulator.cmdaemon import CMDaemon
from bcm_jobstats.simulator.cmha import cmha
from bcm_jobstats.simulator.faults import DROP_OUTPUT, HANG_CONNECT, DroppedError, Fault
from bcm_jobstats.simulator.invocation import invoke

BACKLOG = 128


class Connection:
    """One connection: messages of the client in, messages of the daemon out."""

    def __init__(self, link: socket.socket, daemon: CMDaemon) -> None:
        self._link = link
        self._lines = link.makefile("r", encoding="utf-8", newline="\n")
        self._tty = False
        self._daemon = daemon
        self.head = ""
        self._drop: Optional[Fault] = None
        self._left = 0

    def receive(self) -> dict[str, Any]:
        """The client's next message; it is gone when there is none."""
        line = self._lines.readline()
        if not line:
            raise DroppedError
        told: dict[str, Any] = json.loads(line)
        return told

    def send(self, **message: Any) -> None:
        """A message to the client."""
        self._link.sendall(json.dumps(message).encode() + b"\n")

    def serve(self) -> None:
        """Answer whatever the client is: an order of the admin plane, or a run of cmsh."""
        first = self.receive()
        if "control" in first:
            self.send(**control(self._daemon, first["control"]))
            return
        self.head = str(first.get("head", ""))
        if first.get("tool") == "cmha":
            self._daemon.record({"cmha": first["argv"]})
            self.send(exit=cmha(self._daemon, first["argv"], self.head, self))
            return
        self._daemon.record({"argv": first["argv"]})
        if self._daemon.faults.strike(HANG_CONNECT):
            self._daemon.faults.hang()
        self._drop = self._daemon.faults.strike(DROP_OUTPUT)
        self._left = self._drop.lines if self._drop else 0
        self._tty = bool(first.get("tty"))
        cwd = self._daemon.on_disk(first["cwd"]) if first.get("inside") else Path(first["cwd"])
        self.send(exit=invoke(self._daemon, first["argv"], cwd, self))

    def write(self, text: str) -> None:
        """Print on the client's standard output; a fault may break the connection in the middle."""
        if self._drop is None:
            self.send(out=text)
            return
        lines = text.splitlines(keepends=True)
        if len(lines) >= self._left:
            self.send(out="".join(lines[: self._left]))
            raise DroppedError
        self._left -= len(lines)
        self.send(out=text)

    def error(self, text: str) -> None:
        """Print on the client's standard error."""
        self.send(err=text)

    def lost(self) -> None:
        """The head that served this client is not there for it any more: the connection breaks at once."""
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def hang(self) -> None:
        """Wait until the client goes away: nobody answers whatever it opened (an editor). Nothing is left behind then.

        The client waits for messages meanwhile, so that all this end can see is the end of the connection.
        """
        while True:
            self.receive()

    def is_tty(self) -> bool:
        """Whether the client's standard input is a terminal."""
        return self._tty

    def read_all(self) -> str:
        """The client's standard input."""
        self.send(want="all")
        return str(self.receive()["text"])

    def ask(self, prompt: str) -> Optional[str]:
        """A line at a prompt."""
        self.send(want="line", prompt=prompt)
        line = self.receive()["text"]
        return None if line is None else str(line)


class Server:
    """Listens on a socket, a thread per connection, until told to stop."""

    def __init__(self, path: Path, daemon: CMDaemon) -> None:
        self._daemon = daemon
        self._stopping = Event()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.listen(BACKLOG)

    def run(self) -> None:
        """Serve until `stop`."""
        while not self._stopping.is_set():
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        with link:
            try:
                Connection(link, self._daemon).serve()
            except (DroppedError, ConnectionError):
                pass
            except Exception as error:  # one bad session does not end the daemon; its reason is in the log
                self._daemon.record({"error": f"{type(error).__name__}: {error}"})
                raise

    def stop(self) -> None:
        """Take no more connections."""
        self._stopping.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
