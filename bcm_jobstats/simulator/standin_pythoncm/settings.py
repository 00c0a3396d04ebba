"""Where the head node is, and the certificate to show it."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[9] if len(Path(__file__).resolve().parents) > 9 else Path("/")
"""The head node's root: this file lies in <root>/cm/local/apps/cmd/pythoncm/lib/pythonX.Y/site-packages/pythoncm."""

_ETC = "cm/local/apps/cmd/pythoncm/etc"


class Settings:
    """What `Cluster` connects with (bcm-facts §7)."""

    def __init__(
        self,
        host: str = "localhost",
        port: int = 8081,
        *,
        cert_file: str = "",
        key_file: str = "",
        ca_file: str = "",
    ) -> None:
        self.host = host
        self.port = port
        self.cert_file = str(cert_file or ROOT / "root/.cm/admin.pem")
        self.key_file = str(key_file or ROOT / "root/.cm/admin.key")
        self.ca_file = str(ca_file or ROOT / _ETC / "cacert.pem")

    def check_certificate_files(self) -> bool:
        """Whether all three files can be read."""
        return all(os.access(file, os.R_OK) for file in (self.cert_file, self.key_file, self.ca_file))


def of_head() -> Settings:
    """The settings on a head node: the simulator keeps its address, whose port is not 8081, in a file."""
    host, _, port = (ROOT / "cmd/https").read_text(encoding="ascii").strip().rpartition(":")
    return Settings(host, int(port))
