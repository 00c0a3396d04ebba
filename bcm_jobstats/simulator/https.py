"""CMDaemon's HTTPS port: one listener for every head node, on a port of loopback that the kernel chooses.

BCM's port is 8081 (bcm-facts §9); here several clusters run on one machine, so the address is in ``cmd/https`` under
the head's root. A head node with a network of its own (the lab) has BCM's port at its own address. What serves a
connection is loaded with the first one: a simulator that only runs cmsh pays nothing.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Optional

from bcm_jobstats.simulator import pki
from bcm_jobstats.simulator.faults import DroppedError
from bcm_jobstats.simulator.ha import ACTIVE, Link, UnreachableError
from bcm_jobstats.simulator.http_pythoncm import install
from bcm_jobstats.simulator.http_web import Web

if TYPE_CHECKING:
    import ssl

    from bcm_jobstats.simulator.cmdaemon import CMDaemon

ADDRESS = "cmd/https"
BACKLOG = 128


class Https:
    """The listener of one head node. A head that is down accepts nothing, a passive one redirects (bcm-facts §10)."""

    def __init__(self, web: Web, head: str, root: Path, others: dict[str, Https], at: tuple[str, int]) -> None:
        self.web = web
        self.daemon: CMDaemon = web.daemon
        self.head = head
        self._root = root
        self._others = others
        self._context: Optional[ssl.SSLContext] = None
        self._lock = Lock()
        self._links: dict[socket.socket, Link] = {}
        # With BCM's port comes a network of its own: there it listens on localhost too, as its certificate says.
        self._socket = socket.create_server(("" if at[1] else at[0], at[1]), backlog=BACKLOG)
        self.address = f"{at[0]}:{self._socket.getsockname()[1]}"
        (root / ADDRESS).parent.mkdir(parents=True, exist_ok=True)
        (root / ADDRESS).write_text(self.address, encoding="ascii")
        Thread(target=self._accept, daemon=True, name=f"https-{head}").start()

    def elsewhere(self) -> Optional[str]:
        """The address of the active head when this one is passive; UnreachableError when no head is active."""
        ha = self.daemon.ha
        if ha.states[self.head] == ACTIVE:
            return None
        if not ha.serving:
            raise UnreachableError(ha.active)
        return self._others[ha.active].address

    def link_of(self, secure: object) -> Optional[Link]:
        """What a failover cuts: commits over a connection that was cut are not taken."""
        return self._links.get(secure) if isinstance(secure, socket.socket) else None

    @staticmethod
    def certificate_of(link: object) -> Optional[bytes]:
        """The client's certificate, which the handshake verified; None when it has none."""
        from ssl import SSLSocket

        return link.getpeercert(binary_form=True) if isinstance(link, SSLSocket) else None

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        from bcm_jobstats.simulator.http_handler import Handler

        gone = suppress(OSError, DroppedError, UnreachableError)
        with link, gone, self._tls().wrap_socket(link, server_side=True) as secure:
            ha = self.daemon.ha
            held = ha.connect(self.head, redirect=False, lost=lambda: _cut(secure))
            self._links[secure] = held
            try:
                Handler(secure, secure.getpeername(), self)  # type: ignore[arg-type]  # as in Handler.server
            finally:
                del self._links[secure]
                ha.disconnect(held)

    def _tls(self) -> ssl.SSLContext:
        """TLS 1.2 and up; a client may show a certificate of the cluster's CA, and one of another CA ends it."""
        import ssl

        with self._lock:
            if self._context is None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                context.load_cert_chain(self._root / pki.SERVER, self._root / pki.SERVER_KEY)
                context.load_verify_locations(self._root / pki.CA)
                context.verify_mode = ssl.CERT_OPTIONAL
                self._context = context
            return self._context

    def close(self) -> None:
        """Take no more connections and end those that are open."""
        for link in (self._socket, *self._links):
            _cut(link)
        self._socket.close()
        (self._root / ADDRESS).unlink(missing_ok=True)


def _cut(link: socket.socket) -> None:
    """End a connection under the TLS of the thread that serves it."""
    with suppress(OSError):
        socket.socket.shutdown(link, socket.SHUT_RDWR)


def serve(daemon: CMDaemon, at: tuple[str, int] = ("127.0.0.1", 0)) -> dict[str, Https]:
    """Start the listeners of all head nodes at an address; the others have the certificates of the first."""
    heads = daemon.ha.roots
    pki.prepare(daemon.directory, list(heads), addresses=dict.fromkeys(("127.0.0.1", at[0])))
    for root in heads.values():
        pki.copy(daemon.directory, root)
    for root in heads.values():
        install(root, daemon.switches["pythoncm"], daemon.profile)
    web = Web(daemon)
    listeners: dict[str, Https] = {}
    for head, root in heads.items():
        listeners[head] = Https(web, head, root, listeners, at)
    return listeners
