"""From what a site file says of an artifact to a verified file in the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import compile, extract
from bcm_jobstats.imaging.store import Store, pieces, summed
from bcm_jobstats.site.artifacts import Artifact, Supply

if TYPE_CHECKING:
    from bcm_jobstats.imaging.bundle import Bundle


class NotSupplied(JobstatsError):
    """An artifact that the site does not have for an architecture, or whose file is not where the site says."""


class WrongSum(JobstatsError):
    """A file that is not the one that the site file means."""


@dataclass(frozen=True)
class Resolved:
    """A file of the store: a program, or the file of a package. `origin` is for people: where it came from."""

    path: Path
    sha256: str
    version: str
    origin: str


@dataclass(frozen=True)
class Sources:
    """Where artifacts are looked for: the bundle if there is one, then the paths of the site file below `root`."""

    root: Path
    store: Store
    bundle: Optional[Bundle] = None

    def resolve(self, name: str, artifact: Artifact, architecture: str) -> Optional[Resolved]:
        """The program, or the package's file, checked; None for a package that comes from a repository.

        What the store has of an earlier run is enough. Raises NotSupplied, WrongSum, BadArchive, BuildFailed or
        CannotKeep.
        """
        subject = f"artifact {name} ({architecture})"
        supply = artifact.supplies.get(architecture)
        if supply is None:
            known = ", ".join(artifact.supplies)
            raise NotSupplied(subject, f"the site file has it for {known} only", f"Add {architecture} to it.")
        if supply.kind == "package" and not supply.from_:
            return None
        sha256, origin = self._found(name, artifact.version, architecture, supply)
        if not (self.store.folder / sha256).stat().st_size:
            raise NotSupplied(subject, f"what {origin} supplies is empty", "Get it anew, or build it anew.")
        self.store.learn(f"version {sha256}", artifact.version)
        if supply.package:
            self.store.learn(package_key(supply.package, artifact.version, architecture), sha256)
        return Resolved(self.store.folder / sha256, sha256, artifact.version, origin)

    def _found(self, name: str, version: str, architecture: str, supply: Supply) -> tuple[str, str]:
        """The sum of the file in the store, and its origin."""
        subject = f"artifact {name} ({architecture})"
        bundled = self.bundle.find(name, version, architecture) if self.bundle else None
        if bundled and self.bundle and bundled.kind == supply.kind and supply.sha256 in {None, bundled.sha256}:
            kept = self._known(supply, bundled.sha256)
            if kept is None:
                taken = self.bundle.take(bundled, self.store)
                kept = self._brought(taken, supply, subject, bundled.sha256)
            return kept, str(self.bundle.path)
        if supply.source:
            source = self.root / supply.source.lstrip("/")
            command, result = str(supply.build), str(supply.result)
            return compile.built(source, command, result, self.store, subject), f"{supply.source}: {command}"
        local = str(supply.local)
        kept = self._known(supply, supply.sha256) if supply.sha256 else None
        if kept is None:
            kept = self._brought(self.root / local.lstrip("/"), supply, subject, supply.sha256)
        return kept, local

    def _brought(self, file: Path, supply: Supply, subject: str, wanted: Optional[str]) -> str:
        """The sum of the program in `file`, or of a package's file; it is in the store afterwards.

        `file` is opened once, and what is used is a copy that had the wanted sum: others may change it at any time.
        """
        if not file.is_file():
            remedy = "Copy it there; or `bcm-jobstats image fetch` where there is a network, then give --bundle here."
            raise NotSupplied(subject, f"there is no file {file}", remedy)
        with file.open("rb") as opened:
            sha256 = summed(pieces(opened))  # so that nothing is copied that is there, or is wrong
            require_sum(str(file), sha256, wanted)
            kept = self._known(supply, sha256)
            if kept is not None:
                return kept
            opened.seek(0)
            if supply.archive:
                return self._taken_out(pieces(opened), supply, file, wanted)
            return self.store.put(pieces(opened), lambda found: require_sum(str(file), found, wanted))

    def _known(self, supply: Supply, sha256: str) -> Optional[str]:
        """What an earlier run left in the store of a file with that sum."""
        if supply.archive:
            return self.store.made(_member_key(supply, sha256))
        return sha256 if self.store.get(sha256) else None

    def _taken_out(self, chunks: Iterator[bytes], supply: Supply, archive: Path, wanted: Optional[str]) -> str:
        """The sum of the member of an archive."""
        with self.store.copy(chunks) as (copy, sha256):
            require_sum(str(archive), sha256, wanted)
            inner = self.store.put(extract.member(copy, str(supply.member), archive))
        self.store.learn(_member_key(supply, sha256), inner)
        return inner


def require_sum(subject: str, found: str, wanted: Optional[str]) -> None:
    """WrongSum unless the sums are equal; None: the site wants none checked."""
    if wanted and found != wanted:
        cause = f"has sha256 {found}, and {wanted} is wanted"
        raise WrongSum(subject, cause, "Get it anew; set `sha256` only to a sum that its publisher tells.")


def package_key(package: str, version: str, architecture: str) -> str:
    """Under which the store knows the file of a package."""
    return f"package {package} {version} {architecture}"


def _member_key(supply: Supply, sha256: str) -> str:
    return f"member {sha256} {supply.member}"
