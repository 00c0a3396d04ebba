"""What a node gets in its file tree: files, symbolic links, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass

from bcm_jobstats import data
from bcm_jobstats.stack import render

UNITS = "/etc/systemd/system"
LIBRARY = "/usr/lib/bcm-jobstats"


@dataclass(frozen=True)
class PayloadFile:
    """A file on the node: absolute path, content and mode. Its owner and group have the same name."""

    path: str
    content: bytes
    mode: int = 0o644
    owner: str = "root"


@dataclass(frozen=True)
class PayloadLink:
    """A symbolic link on the node: its absolute path, and the absolute path it points to there."""

    path: str
    target: str


def script(name: str) -> bytes:
    """A script of ours with the header behind its first line."""
    first, rest = source(name).split(b"\n", 1)
    return first + b"\n# " + render.HEADER.encode() + b"\n" + rest


def source(name: str) -> bytes:
    """A file of scripts/ as it lies there."""
    return (data.path("scripts") / name).read_bytes()
