"""All artifacts of a site file into one bundle, on a machine with a network: no BCM, no cluster."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import bundle, compile, elf
from bcm_jobstats.imaging.bundle import Bundle, Entry
from bcm_jobstats.imaging.sources import require_sum
from bcm_jobstats.imaging.store import CHUNK, Store, read
from bcm_jobstats.site.artifacts import Artifact, Supply

if TYPE_CHECKING:
    import requests

CONNECT, ANSWER = 10.0, 60.0
"""Seconds to wait for a connection, and for the next bytes."""
Progress = Callable[[str, int, Optional[int]], None]
"""Told of what is being fetched, the bytes so far, and how many there will be (None: not known)."""


class CannotFetch(JobstatsError):
    """A file that cannot be had from where it should be."""


@dataclass(frozen=True)
class Wanted:
    """One file that the bundle is to hold."""

    name: str
    architecture: str
    version: str
    supply: Supply

    @property
    def subject(self) -> str:
        """What it is, in a message."""
        return f"{self.name} {self.version} ({self.architecture})"


def wanted(artifacts: Mapping[str, Artifact], architecture: Optional[str] = None) -> Iterator[Wanted]:
    """Every file that a site's artifacts need, of one architecture or of all that the site file names."""
    for name, artifact in sorted(artifacts.items()):
        for machine, supply in artifact.supplies.items():
            if architecture in {None, machine}:
                yield Wanted(name, machine, artifact.version, supply)


@dataclass
class Fetcher:
    """Makes the bundle `out` for the paths of the site file below `root`."""

    out: Path
    root: Path
    progress: Progress = lambda *_: None

    def __post_init__(self) -> None:
        self.store = Store(self.out.with_name(f".{self.out.name}.parts"))

    def fetch(self, files: Sequence[Wanted]) -> list[Entry]:
        """Make the bundle; returns what is in it, in the order of `files`.

        A file is not fetched again when the bundle has it, or when an earlier run that was stopped had it already.
        Raises CannotFetch, WrongSum, BuildFailed, BadBundle or CannotKeep, and leaves the bundle that was there alone.
        """
        before = Bundle.open(self.out) if self.out.exists() else None
        self.store.prepare()
        entries = [self._entry(one, before) for one in files]
        if before is None or before.entries != tuple(entries):
            bundle.write(self.out, entries, self.store)
        shutil.rmtree(self.store.folder, ignore_errors=True)
        return entries

    def _entry(self, one: Wanted, before: Optional[Bundle]) -> Entry:
        old = before.find(one.name, one.version, one.architecture) if before else None
        if before and old and old.kind == one.supply.kind and self._still(old, one):
            before.take(old, self.store)
            return old
        sha256, origin = self._made(one)
        require_sum(f"{one.subject} from {origin}", sha256, one.supply.sha256)
        file = self.store.folder / sha256
        if not file.stat().st_size:
            raise CannotFetch(one.subject, f"what {origin} supplies is empty", "Get it anew, or build it anew.")
        if one.supply.kind in {"file", "source"}:
            elf.require(file, one.architecture, one.subject)
        kind = one.supply.kind
        return Entry(one.name, one.version, one.architecture, kind, sha256, file.stat().st_size, origin)

    def _still(self, old: Entry, one: Wanted) -> bool:
        """Whether what the bundle has is what would be made now; of an unchecked file the version alone tells."""
        if one.supply.sha256:
            return old.sha256 == one.supply.sha256
        if one.supply.source:
            return old.origin == self._origin(one.supply)
        return not self._local(one.supply).is_file()

    def _local(self, supply: Supply) -> Path:
        return self.root / str(supply.source or supply.local).lstrip("/")

    def _origin(self, supply: Supply) -> str:
        return f"{supply.source}: {supply.build} (source {compile.tree_digest(self._local(supply))[:12]})"

    def _made(self, one: Wanted) -> tuple[str, str]:
        supply = one.supply
        file = self._local(supply)
        if supply.source:
            sha256 = compile.built(file, str(supply.build), str(supply.result), self.store, one.subject)
            return sha256, self._origin(supply)
        origin = str(supply.local) if file.is_file() else supply.url
        if origin is None:
            cause = f"there is no file {file} here, and no address that it can be had from is known"
            raise CannotFetch(one.subject, cause, "Copy it there, or set `url` in the site file.")
        if supply.sha256 and self.store.get(supply.sha256):
            return supply.sha256, origin
        chunks = self._told(one, read(file), file.stat().st_size) if file.is_file() else self._download(one, origin)
        return self.store.put(chunks), origin

    def _told(self, one: Wanted, chunks: Iterator[bytes], size: Optional[int]) -> Iterator[bytes]:
        done = 0
        for chunk in chunks:
            done += len(chunk)
            self.progress(one.subject, done, size)
            yield chunk
        if size is not None and done != size:
            raise CannotFetch(one.subject, f"ended after {done} of {size} bytes", "Run it again.")

    def _download(self, one: Wanted, url: str) -> Iterator[bytes]:
        import requests
        from urllib3.exceptions import HTTPError

        # As it lies there: a server that calls a .tar.gz an encoding would have it unpacked on the way.
        headers = {"Accept-Encoding": "identity"}
        try:
            with requests.get(url, stream=True, timeout=(CONNECT, ANSWER), headers=headers) as answer:
                if answer.status_code != requests.codes.ok:
                    raise CannotFetch(one.subject, f"{url} answers {answer.status_code} {answer.reason}", _REMEDY)
                yield from self._told(one, answer.raw.stream(CHUNK, decode_content=False), _length(answer))
        except (requests.RequestException, HTTPError) as error:
            raise CannotFetch(one.subject, f"{url} cannot be read: {error}", _REMEDY) from error


_REMEDY = "Check version and `url` in the site file, the network and $https_proxy."


def _length(answer: requests.Response) -> Optional[int]:
    told = answer.headers.get("Content-Length", "")
    return int(told) if told.isdigit() else None
