"""What the tests of artifacts share: archives of a program, and a site's word of them."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from pathlib import Path
from typing import Any

from bcm_jobstats.site.artifacts import Artifact, Supply

MEMBER = "exporter-1.0/exporter"


def elf(machine: str = "x86_64", rest: bytes = b"code" * 100) -> bytes:
    """A program by its header only."""
    number = {"x86_64": 62, "aarch64": 183}[machine]
    return b"\x7fELF" + bytes([2, 1, 1]) + bytes(9) + struct.pack("<HH", 2, number) + bytes(44) + rest


def sum_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive(file: Path, content: bytes, member: str = MEMBER) -> str:
    """A tar.gz with one member; returns its sum."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as opened:
        header = tarfile.TarInfo(member)
        header.size = len(content)
        opened.addfile(header, io.BytesIO(content))
    return sum_of(file.read_bytes())


def artifact(version: str = "1.0", machine: str = "x86_64", **supply: Any) -> Artifact:
    """An artifact for one architecture."""
    return Artifact(version=version, **{machine: Supply(**supply)})  # type: ignore[arg-type]
