"""A bundle: one tar with all artifacts of a site file, made where there is a network, for head nodes without one.

`bundle.json` comes first and tells of each: name, version, architecture, kind, sha256, size, origin. The files lie
under `artifacts/`, each by its sum.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Optional

from bcm_jobstats import __version__
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.store import Store, is_sum, pieces
from bcm_jobstats.imaging.unfollowed import created

CONTENTS = "bundle.json"
FORMAT_VERSION = "1.0"
"""An unknown major is refused; unknown properties of a minor are ignored."""
_LARGEST_CONTENTS = 4 << 20


class BadBundle(JobstatsError):
    """A bundle that cannot be read, or is not as it was made."""


@dataclass(frozen=True)
class Entry:
    """One file of a bundle. `size` in bytes; `origin` is the URL, path or command that it came from."""

    name: str
    version: str
    architecture: str
    kind: str
    sha256: str
    size: int
    origin: str


@dataclass(frozen=True)
class Bundle:
    """A bundle whose list was read; each file is checked when it is taken."""

    path: Path
    entries: tuple[Entry, ...]

    @staticmethod
    def open(path: Path) -> Bundle:
        """Read the list of a bundle; raises BadBundle."""
        with _opened(path) as tar:
            member = _member(tar, CONTENTS, path)
            if member.size > _LARGEST_CONTENTS:
                raise BadBundle(str(path), f"{CONTENTS} is too large", _ANEW)
            content = tar.extractfile(member)
            text = content.read() if content else b""
        try:
            document = json.loads(text)
            if str(document["format_version"]).partition(".")[0] != FORMAT_VERSION.partition(".")[0]:
                raise ValueError(f"format {document['format_version']} is not known to version {__version__}")
            return Bundle(path, tuple(_entry(told) for told in document["artifacts"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadBundle(str(path), f"{CONTENTS} cannot be read: {error}", _ANEW) from error

    def find(self, name: str, version: str, architecture: str) -> Optional[Entry]:
        """The file of an artifact, if the bundle has it in that version."""
        wanted = (name, version, architecture)
        return next((one for one in self.entries if (one.name, one.version, one.architecture) == wanted), None)

    def take(self, entry: Entry, store: Store) -> Path:
        """Put one file into `store`; raises BadBundle when it is not the one that was put into the bundle."""
        found = store.get(entry.sha256)
        if found:
            return found

        def accept(sha256: str) -> None:
            if sha256 != entry.sha256:
                cause = f"{entry.name} in it has sha256 {sha256}, and {entry.sha256} was put in"
                raise BadBundle(str(self.path), cause, _ANEW)

        with _opened(self.path) as tar:
            content = tar.extractfile(_member(tar, _place(entry), self.path))
            return store.folder / store.put(pieces(content) if content else (), accept)


_ANEW = "Copy it again, or make it anew with: bcm-jobstats image fetch"


def write(path: Path, entries: Sequence[Entry], store: Store) -> None:
    """Make a bundle of files that are in `store`: complete at `path`, or not at all; the same entries, the same
    bytes."""
    part = path.with_name(f".{path.name}.part")
    document = {"format_version": FORMAT_VERSION, "tool_version": __version__, "artifacts": list(map(asdict, entries))}
    text = (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
    try:
        with created(part, 0o666) as opened, tarfile.open(fileobj=opened, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar.addfile(_header(CONTENTS, len(text)), io.BytesIO(text))
            for entry in {one.sha256: one for one in entries}.values():
                with store.require(entry.sha256, entry.name).open("rb") as file:
                    tar.addfile(_header(_place(entry), entry.size), file)
        part.replace(path)
    except OSError as error:
        remedy = "Make room, or give another place with --out."
        raise BadBundle(str(path), error.strerror or str(error), remedy) from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as tar:
            yield tar
    except (tarfile.TarError, EOFError) as error:
        raise BadBundle(str(path), f"is no bundle: {error}", _ANEW) from error


def _member(tar: tarfile.TarFile, name: str, path: Path) -> tarfile.TarInfo:
    """A regular file of the tar. Only names that we chose are looked up; nothing is written by a name of the tar."""
    member = next((one for one in tar if one.name == name), None)
    if member is None or not member.isreg() or member.issparse():
        raise BadBundle(str(path), f"there is no file {name} in it", _ANEW)
    return member


def _entry(told: Mapping[str, Any]) -> Entry:
    entry = Entry(**{field.name: told[field.name] for field in fields(Entry)})
    wrong = [name for name, value in asdict(entry).items() if not isinstance(value, int if name == "size" else str)]
    if wrong or not is_sum(entry.sha256):
        raise ValueError(f"{entry.name}: {wrong[0] if wrong else 'sha256'} makes no sense")
    return entry


def _place(entry: Entry) -> str:
    return f"artifacts/{entry.sha256}"


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o644
    return header
