"""The programs that a site supplies: an archive, a file, a package or a source directory for each architecture."""

# ruff: noqa: RUF009 - setting() and its like return dataclass fields

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Optional

from bcm_jobstats.site import kinds, words
from bcm_jobstats.site.filemodes import FileMode
from bcm_jobstats.site.settings import optional, required, setting
from bcm_jobstats.site.structure import Section

KINDS = ("archive", "file", "package", "source")
ARCHITECTURES = ("x86_64", "aarch64")
"""As `uname -m` and the head of a program tell them; Grace nodes are aarch64."""

VERSION = kinds.Text(
    "a version such as 1.9.1", r"[0-9][0-9A-Za-z.+~:_-]{0,63}", "digits first: without a leading 'v', in quotes"
)
SHA256 = kinds.Text("a sha256 sum", r"[0-9a-f]{64}", "64 digits from 0-9 and a-f, as sha256sum prints them")
MEMBER = kinds.Text(
    "a file of an archive",
    r"(?!/)(?!(.*/)?\.\.(/|$))[^\x00-\x1f\x7f]+",
    "its name as `tar tf` shows it, without a leading '/' or '..'",
)
PACKAGE = kinds.Text("the name of a package", r"[A-Za-z0-9][A-Za-z0-9+._-]{0,127}", "letters, digits, '+', '.', '-'")
INSIDE = kinds.Text(
    "a path relative to the source directory",
    r"(?!/)(?!(.*/)?\.\.(/|$))[A-Za-z0-9_@+.,=/-]+",
    "such as build/nvml_exporter: without a leading '/', spaces or '..'",
)


@dataclass(frozen=True)
class Supply:
    """Where the program of one architecture comes from: exactly one of four kinds. Paths are those of the head node."""

    archive: Optional[str] = optional(words.LOCAL, "A tar or zip archive that holds the program.", "/root/x.tar.gz")
    member: Optional[str] = optional(
        MEMBER, "The archive's file that is the program; unset: as the exporter's definition knows it.", "x/x"
    )
    file: Optional[str] = optional(words.LOCAL, "The program itself.", "/root/x")
    package: Optional[str] = optional(PACKAGE, "A package of the image's distribution, in this version.", "x")
    from_: Optional[str] = optional(
        words.LOCAL, "The package's file; unset: from the repositories that the image has.", "/root/x.deb"
    )
    source: Optional[str] = optional(words.LOCAL, "A directory to build the program from.", "/root/x")
    build: Optional[str] = optional(words.ARGUMENT, "The command that builds it, run in a copy of it.", "make")
    result: Optional[str] = optional(INSIDE, "The program in that copy, once it is built.", "x")
    url: Optional[str] = optional(
        words.URL, "Where `image fetch` gets archive, file or package's file; unset: where its project has it.",
        "https://example.com/x",
    )  # fmt: skip
    sha256: Optional[str] = optional(SHA256, "The sum of the archive, file or package's file.", "0" * 64)
    unchecked: bool = setting(False, words.SWITCH, "Whether to do without a sum.")

    @property
    def kind(self) -> str:
        """`archive`, `file`, `package` or `source`."""
        return next(name for name in KINDS if getattr(self, name))

    @property
    def local(self) -> Optional[str]:
        """The file that a sum is for and that a bundle can hold; None of a source and of a package of a repository."""
        return self.archive or self.file or self.from_


NEEDS = {"member": ("archive",), "from": ("package",), "build": ("source",), "result": ("source",)}
"""What goes with one kind only."""


def one_kind(supply: Supply) -> Iterator[tuple[str, str]]:
    """What is wrong with a supply as a whole."""
    given = [name for name in KINDS if getattr(supply, name)]
    if not given:
        yield "does not say where the program comes from", f"give one of: {', '.join(KINDS)}"
    elif len(given) > 1:
        yield f"{given[0]} excludes {', '.join(given[1:])}", "keep one of them"
    else:
        yield from _misplaced(supply, given[0])
        yield from _unchecked(supply)


def _misplaced(supply: Supply, kind: str) -> Iterator[tuple[str, str]]:
    values = {**vars(supply), "from": supply.from_}
    for name, kinds_with_it in NEEDS.items():
        if values[name] and kind not in kinds_with_it:
            yield f"{name} goes with {kinds_with_it[0]}, not with {kind}", "remove one of them"
    if kind == "source" and not (supply.build and supply.result):
        yield "a source needs build and result", "say how it is built and which file comes out of it"
    if not supply.local:
        for name in ("url", "sha256", "unchecked"):
            if values[name]:
                what = "source" if kind == "source" else "package from a repository"
                yield f"{name} does not go with a {what}", f"remove {name}"


def _unchecked(supply: Supply) -> Iterator[tuple[str, str]]:
    if supply.sha256 and supply.unchecked:
        yield "unchecked excludes sha256", "keep one of them"
    elif supply.local and not supply.sha256 and not supply.unchecked:
        yield "sha256 is missing", f"add it: `sha256sum {supply.local}` tells it. To do without: unchecked: true"


@dataclass(frozen=True)
class Artifact:
    """A program in one version, for one architecture or more."""

    version: str = required(VERSION, "Its version; images get no other.")
    x86_64: Optional[Supply] = optional(Section(Supply, one_kind), "Where it comes from for Intel and AMD.")
    aarch64: Optional[Supply] = optional(Section(Supply, one_kind), "Where it comes from for ARM, such as Grace.")
    path: Optional[str] = optional(
        words.ABSOLUTE, "Its place in the image; unset: where the exporter's service starts it.", "/usr/local/bin/x"
    )
    mode: int = setting(0o755, FileMode(), "Its mode there.")

    @property
    def supplies(self) -> Mapping[str, Supply]:
        """Architecture -> where the program comes from, for those that the site names."""
        named = {name: getattr(self, name) for name in ARCHITECTURES}
        return {name: supply for name, supply in named.items() if supply}


def some_architecture(artifact: Artifact) -> Iterator[tuple[str, str]]:
    """An artifact without an architecture supplies nothing."""
    if not artifact.supplies:
        yield "names no architecture", f"add {' or '.join(ARCHITECTURES)}"
