"""How files get to a head node: whole in place on this one, and as text that a shell there unpacks on the other."""

from __future__ import annotations

import base64
import binascii
import io
import shutil
import tarfile
from pathlib import Path
from typing import Optional

from bcm_jobstats.imaging.manifest import write_atomically


def put(path: Path, content: bytes) -> None:
    """Write a file whole; a folder that has to be made appears with it."""
    if path.parent.is_dir():
        write_atomically(path, content)
        return
    beside = aside(path.parent)
    beside.mkdir(parents=True)
    write_atomically(beside / path.name, content)
    beside.rename(path.parent)


def take_away(path: Path) -> None:
    """Remove a file, and its folder with the last one: moved aside first, so that no empty folder is left by a kill."""
    if [other.name for other in path.parent.iterdir()] == [path.name]:
        beside = aside(path.parent)
        path.parent.rename(beside)
        shutil.rmtree(beside)
    else:
        path.unlink(missing_ok=True)


def aside(folder: Path) -> Path:
    """Where a folder is made ready before it appears, or lies after it is gone."""
    return folder.with_name(f".{folder.name}.bcm-jobstats")


def packed(name: str, content: str) -> str:
    """A tar file with one file, as base64."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content.encode()), 0o644
        archive.addfile(entry, io.BytesIO(content.encode()))
    return base64.b64encode(stream.getvalue()).decode()


def unpacked(text: str) -> Optional[dict[str, str]]:
    """The files in what READ printed, empty for an empty archive; None when that is something else."""
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            entries = [(entry, archive.extractfile(entry)) for entry in archive if entry.isfile()]
            return {Path(e.name).name: stream.read().decode("utf-8", "replace") for e, stream in entries if stream}
    except (tarfile.TarError, binascii.Error, EOFError, OSError):
        return None
