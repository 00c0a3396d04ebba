"""What a node gets in its file tree: files, symbolic links, programs, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from bcm_jobstats import data
from bcm_jobstats.site.artifacts import Artifact
from bcm_jobstats.stack import render

if TYPE_CHECKING:
    from bcm_jobstats.stack.definitions import Exporter

UNITS = "/etc/systemd/system"
LIBRARY = "/usr/lib/bcm-jobstats"


@dataclass(frozen=True)
class PayloadFile:
    """A file on the node: absolute path, content and mode. `owner` is `uid:gid` in numbers, as every image has its
    own names."""

    path: str
    content: bytes
    mode: int = 0o644
    owner: str = "0:0"


@dataclass(frozen=True)
class PayloadLink:
    """A symbolic link on the node: its absolute path, and the absolute path it points to there."""

    path: str
    target: str


@dataclass(frozen=True)
class Program:
    """A program that the site supplies: its absolute path on the node (empty for a package whose programs nobody
    named) and mode. `artifact` has the addresses and members that the exporter's definition knows filled in.

    `exporter` is the one that is this program; None: a recipe wants it.
    """

    name: str
    path: str
    mode: int
    artifact: Artifact
    exporter: Optional[Exporter]


def script(name: str) -> bytes:
    """A script of ours with the header behind its first line."""
    first, rest = source(name).split(b"\n", 1)
    return first + b"\n# " + render.HEADER.encode() + b"\n" + rest


def source(name: str) -> bytes:
    """A file of scripts/ as it lies there."""
    return (data.path("scripts") / name).read_bytes()
