"""A plain client of the simulator's HTTPS side, for tests: nothing of the product's."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any, Optional

from bcm_jobstats.simulator import pki
from bcm_jobstats.simulator.https import Https, serve
from bcm_jobstats.simulator.inprocess import InProcess

SECONDS = 30


class WebClient:
    """One caller: with the certificate of a file, or without any."""

    def __init__(self, address: str, root: Path, certificate: Optional[tuple[Path, Path]] = None) -> None:
        self._context = ssl.create_default_context(cafile=str(root / pki.CA))
        if certificate:
            self._context.load_cert_chain(*certificate)
        self._address = address

    def send(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        link = http.client.HTTPSConnection(self._address, context=self._context, timeout=SECONDS)
        try:
            raw = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
            link.request(method, path, raw, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = link.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            link.close()

    def post(self, body: Any, path: str = "/json", **headers: str) -> tuple[int, Any]:
        status, text, _ = self.send("POST", path, body, **headers)
        return status, json.loads(text)

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        status, text, _ = self.send("GET", path, **headers)
        return status, json.loads(text)

    def call(self, service: str, call: str, *args: Any, **more: Any) -> Any:
        status, told = self.post({"service": service, "call": call, "args": list(args), **more})
        assert status == 200, told
        return told


class Web:
    """The HTTPS side of a cluster within the test's process; `admin` calls with the administrator's certificate."""

    def __init__(self, cluster: InProcess) -> None:
        self.cluster = cluster
        self.root = cluster.daemon.directory
        self.listeners: dict[str, Https] = serve(cluster.daemon)
        self.address = self.listeners[cluster.daemon.head].address
        self.admin = self.client((self.root / pki.ADMIN, self.root / pki.ADMIN_KEY))
        self.nobody = self.client()

    def client(self, certificate: Optional[tuple[Path, Path]] = None) -> WebClient:
        return WebClient(self.address, self.root, certificate)

    def with_profile(self, profile: str) -> WebClient:
        key, certificate = self.root / f"{profile}.key", self.root / f"{profile}.pem"
        pki.issue(self.root, profile, profile, "", 10, key, certificate)
        return self.client((certificate, key))

    def close(self) -> None:
        for listener in self.listeners.values():
            listener.close()
