"""The connection to the simulator: JSON over mutual TLS."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

from .settings import Settings

PATH = "/pythoncm"
REDIRECTS = 3


class RpcError(Exception):
    """CMDaemon refused a call, or answered what cannot be understood."""


class Rpc:
    """Calls of CMDaemon; a passive head's redirect to the active one is followed (bcm-facts §7, §10)."""

    def __init__(self, settings: Settings) -> None:
        self._context = ssl.create_default_context(cafile=settings.ca_file)
        self._context.load_cert_chain(settings.cert_file, settings.key_file)
        self._address = f"{settings.host}:{settings.port}"

    def call(self, service: str, call: str, *arguments: Any) -> Any:
        """What a call answers; RpcError when it is refused, OSError when nobody answers."""
        told = self._exchange("POST", json.dumps({"service": service, "call": call, "args": arguments}))
        if isinstance(told, dict) and "errormessage" in told:
            raise RpcError(str(told["errormessage"]).strip())
        return told

    def version(self) -> str:
        """The version of the head node."""
        return str(self._exchange("GET", None)["cm_version"])

    def _exchange(self, method: str, body: str | None) -> Any:
        for _ in range(REDIRECTS):
            status, where, text = self._once(method, body)
            if status != 307:
                break
            self._address = urlsplit(where).netloc
        try:
            told = json.loads(text)
        except ValueError as error:
            raise RpcError(f"not an answer of CMDaemon (status {status})") from error
        if status != 200:
            raise RpcError(str(told.get("errormessage", f"status {status}")).strip())
        return told

    def _once(self, method: str, body: str | None) -> tuple[int, str, bytes]:
        link = http.client.HTTPSConnection(self._address, context=self._context, timeout=60)
        try:
            link.request(method, PATH, body)
            answer = link.getresponse()
            return answer.status, answer.getheader("Location", ""), answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"connection to CMDaemon lost: {error!r}") from error
        finally:
            link.close()
