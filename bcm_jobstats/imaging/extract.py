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
from bcm_jobstats.imaging.store import pieces

_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(struct.error, EOFError, OSError, RuntimeError, ValueError),
)
"""All that the readers raise at files that were tampered with."""
_NAMES_SHOWN = 3


class BadArchive(JobstatsError):
    """An archive that cannot be read, or does not hold what is wanted of it."""


def member(content: IO[bytes], name: str, archive: Path) -> Iterator[bytes]:
    """The content of one regular file of an archive, in pieces; `archive` is what messages call it. Raises
    BadArchive."""
    try:
        zipped = zipfile.is_zipfile(content)
        content.seek(0)
        yield from _zip(content, name, archive) if zipped else _tar(content, name, archive)
    except _BROKEN as error:
        cause = f"cannot be read as tar (plain, gz, bz2, xz) or zip: {error or type(error).__name__}"
        raise BadArchive(str(archive), cause, "Get it anew, and compare its sha256 with its publisher's.") from error


def _tar(content: IO[bytes], name: str, archive: Path) -> Iterator[bytes]:
    names = []
    with tarfile.open(fileobj=content, mode="r|*") as opened:
        for entry in opened:
            if _plain(entry.name) == _plain(name):
                if not entry.isfile() or entry.issparse():
                    raise _not_a_file(archive, name)
                found = opened.extractfile(entry)
                yield from pieces(found) if found else ()
                return
            names.append(entry.name)
    raise _missing(archive, name, names)


def _zip(content: IO[bytes], name: str, archive: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(content) as opened:
        for entry in opened.infolist():
            if _plain(entry.filename) == _plain(name):
                kind = stat.S_IFMT(entry.external_attr >> 16)
                if entry.is_dir() or kind not in {0, stat.S_IFREG} or entry.flag_bits & 1:
                    raise _not_a_file(archive, name)
                with opened.open(entry) as found:
                    yield from pieces(found)
                return
        raise _missing(archive, name, opened.namelist())


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
