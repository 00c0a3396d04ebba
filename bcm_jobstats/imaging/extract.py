"""One member of an archive: tar (plain or compressed) or zip, told by content and read as a stream."""

from __future__ import annotations

import difflib
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.store import CHUNK

_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(struct.error, EOFError, OSError, RuntimeError, ValueError),
)
"""All that the readers raise at files that were tampered with."""
_NAMES_SHOWN = 3


class BadArchive(JobstatsError):
    """An archive that cannot be read, or does not hold what is wanted of it."""


def member(archive: Path, name: str) -> Iterator[bytes]:
    """The content of one regular file of `archive`, in pieces; raises BadArchive."""
    try:
        yield from _zip(archive, name) if zipfile.is_zipfile(archive) else _tar(archive, name)
    except _BROKEN as error:
        if isinstance(error, OSError) and error.filename:
            raise  # it is not there, or may not be read
        cause = f"cannot be read as tar (plain, gz, bz2, xz) or zip: {error or type(error).__name__}"
        raise BadArchive(str(archive), cause, "Get it anew, and compare its sha256 with its publisher's.") from error


def _tar(archive: Path, name: str) -> Iterator[bytes]:
    names = []
    with tarfile.open(archive, mode="r|*") as opened:
        for entry in opened:
            if _plain(entry.name) == _plain(name):
                if not entry.isfile() or entry.issparse():
                    raise _not_a_file(archive, name)
                content = opened.extractfile(entry)
                yield from _pieces(content) if content else ()
                return
            names.append(entry.name)
    raise _missing(archive, name, names)


def _zip(archive: Path, name: str) -> Iterator[bytes]:
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            if _plain(entry.filename) == _plain(name):
                kind = stat.S_IFMT(entry.external_attr >> 16)
                if entry.is_dir() or kind not in {0, stat.S_IFREG} or entry.flag_bits & 1:
                    raise _not_a_file(archive, name)
                with opened.open(entry) as content:
                    yield from _pieces(content)
                return
        raise _missing(archive, name, opened.namelist())


def _pieces(content: IO[bytes]) -> Iterator[bytes]:
    while chunk := content.read(CHUNK):
        yield chunk


def _plain(name: str) -> str:
    return str(PurePosixPath(name))


def _not_a_file(archive: Path, name: str) -> BadArchive:
    cause = f"{name} in it is a link, a device, a directory or encrypted"
    return BadArchive(str(archive), cause, "Name the regular file that is the program as `member`.")


def _missing(archive: Path, name: str, names: Sequence[str]) -> BadArchive:
    """The same name in another directory is what is meant most often: releases have their version in it."""
    base = PurePosixPath(name).name
    near = [one for one in names if PurePosixPath(one).name == base]
    near += [one for one in difflib.get_close_matches(name, names, _NAMES_SHOWN, 0.5) if one not in near]
    shown = ", ".join((near or list(names))[:_NAMES_SHOWN])
    remedy = f"It has: {shown}. Set `member` to the right name." if shown else "It is empty."
    return BadArchive(str(archive), f"there is no {name} in it", remedy)
