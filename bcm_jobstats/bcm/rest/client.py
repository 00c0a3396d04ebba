"""Questions to CMDaemon over HTTPS: JSON-RPC at /json and REST below /rest/v1 (bcm-facts §8)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional
from urllib.parse import urljoin, urlsplit

from bcm_jobstats.bcm.errors import TimedOut, Unreachable, Unreadable
from bcm_jobstats.bcm.keys import check_private, check_there
from bcm_jobstats.bcm.rest import transport
from bcm_jobstats.bcm.rest.errors import Forbidden, Truncated, UnknownCall, Untrusted

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)
ATTEMPTS = 3
"""Of a question whose connection was lost."""
REDIRECTS = 3
"""That are followed: a passive head sends its clients to the active one (bcm-facts §10)."""
CHECK = "Check CMDaemon (systemctl status cmd) and bcm.address in the site file."


class Client:
    """One CMDaemon, asked with a client certificate. Its own certificate is always checked against BCM's authority."""

    def __init__(self, address: str, certificate: Path, key: Path, ca: Path, timeout: float) -> None:
        """`address` is host:port; `timeout` in seconds, for one question with its whole answer. Nothing is sent yet."""
        self.base = f"https://{address}"
        self.certificate, self.key, self.ca = certificate, key, ca
        self.timeout = timeout
        self._session: Optional[requests.Session] = None

    def call(self, service: str, method: str, *args: object) -> Any:
        """The answer of a JSON-RPC call, None for `null` (bcm-facts §8.1). Only `get…` is repeated when it gets lost.

        Raises Forbidden, UnknownCall, Refused (CMDaemon's own words), Unreachable, Unreadable or ExposedKey.
        """
        body = {"service": service, "call": method, "args": list(args), "minify": True}
        return self._ask(f"{service} {method}", "/json", body, ATTEMPTS if method.startswith("get") else 1)

    def get(self, path: str) -> Any:
        """The document at a REST path such as `/rest/v1/device` (bcm-facts §8.2). Raises as `call` does."""
        return self._ask(path, path, None, ATTEMPTS)

    def _ask(self, what: str, path: str, body: Optional[dict[str, object]], attempts: int) -> Any:
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

        def lost(error: BaseException) -> bool:
            return isinstance(error, (Unreachable, Truncated)) and not isinstance(error, (TimedOut, Untrusted))

        log.debug("%s %s", self.base, what)
        waiting = wait_exponential(multiplier=0.2, max=2)
        retrying = Retrying(
            retry=retry_if_exception(lost), stop=stop_after_attempt(attempts), wait=waiting, reraise=True
        )
        reply = retrying(self._follow, what, path, body)
        return transport.document(what, reply)

    def _follow(self, what: str, path: str, body: Optional[dict[str, object]]) -> transport.Reply:
        url = self.base + path
        for _ in range(REDIRECTS + 1):
            reply = self._once(url, body)
            if not 300 <= reply.status < 400:
                return self._judged(what, reply)
            url = _target(url, reply.location)
            if not url:
                cause = f"redirects to {reply.location!r:.80}, which is not https"
                raise Unreachable(self.base, cause, CHECK)
        raise Unreachable(self.base, f"redirects more than {REDIRECTS} times", CHECK)

    def _once(self, url: str, body: Optional[dict[str, object]]) -> transport.Reply:
        if self._session is None:
            self._session = self._start()
        session = self._session
        try:
            return transport.bounded(lambda: transport.exchange(session, url, body, self.timeout), url, self.timeout)
        except TimedOut:
            self._session = None  # the abandoned question still holds it
            raise

    def _start(self) -> requests.Session:
        check_there(self.certificate, "certificate")
        check_there(self.ca, "authority")
        check_private(self.key)
        return transport.session(self.certificate, self.key, self.ca)

    def _judged(self, what: str, reply: transport.Reply) -> transport.Reply:
        """The reply itself when its status is one of success; what went wrong otherwise."""
        remedy = "Check the profile of the certificate (bcm.certificate in the site file)."
        if reply.status == 200:
            return reply
        if reply.status in {401, 403}:
            raise Forbidden(what, f"CMDaemon refuses it with HTTP status {reply.status}", remedy)
        if reply.status in {400, 404}:
            raise UnknownCall(what, f"CMDaemon does not know it (HTTP status {reply.status})", "")
        if reply.status >= 500:
            raise Unreachable(self.base, f"answers {what} with HTTP status {reply.status}", CHECK)
        raise Unreadable(self.base, f"answers {what} with HTTP status {reply.status}", CHECK)


def _target(url: str, location: str) -> str:
    """Where a redirect leads to; empty when that is not https."""
    try:
        target = urljoin(url, location)
        return target if urlsplit(target).scheme == "https" else ""
    except ValueError:
        return ""
