"""Every software image: who uses it, what of ours is in it, and what it was built for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from bcm_jobstats.bcm.entities import Cluster, SoftwareImage
from bcm_jobstats.imaging.manifest import BadManifest, Manifest
from bcm_jobstats.imaging.record import VERIFIED, Record
from bcm_jobstats.imaging.trees import DEFAULT_MANIFEST

PROGRAM = "program"
"""The type of the programs in a manifest; each has a `version`."""


@dataclass(frozen=True)
class Content:
    """What of ours is in an image, by its manifest: how many files, path -> version of programs, name -> version of
    packages. `problem`: why nobody can tell."""

    files: int = 0
    programs: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class Built:
    """What an image is to a category by its record: built for it from `source`, or the one that it had before."""

    category: str
    source: str
    image: str
    stage: str
    verified: int
    nodes: int


@dataclass(frozen=True)
class Row:
    """One image: its categories, and the nodes that use it, by their category or by themselves."""

    image: str
    path: str
    categories: Sequence[str]
    nodes: Sequence[str]
    content: Content
    built: Sequence[Built] = ()


def rows(cluster: Cluster, records: Mapping[str, Record], root: Path) -> Iterator[Row]:
    """A row for each image, by name."""
    users: dict[Optional[str], list[str]] = {}
    for node in cluster.nodes.values():
        users.setdefault(cluster.image_of(node), []).append(node.name)
    for name, image in sorted(cluster.images.items()):
        categories = sorted(one.name for one in cluster.categories.values() if one.image == name)
        built = [_built(one) for one in records.values() if name in (one.image, one.source)]
        yield Row(name, image.path, categories, sorted(users.get(name, ())), content(image, root), built)


def content(image: SoftwareImage, root: Path) -> Content:
    """What of ours is in an image, by its manifest."""
    tree = root / image.path.lstrip("/")
    if not image.path or not tree.is_dir():
        return Content(problem="its directory is not there")
    try:
        manifest = Manifest(tree, DEFAULT_MANIFEST)
    except BadManifest as error:
        return Content(problem=f"its manifest {error.cause}")
    programs = {path: entry for path, entry in sorted(manifest.entries.items()) if entry.get("type") == PROGRAM}
    versions = {path: str(entry.get("version", "")) for path, entry in programs.items()}
    return Content(len(manifest.entries) - len(programs), versions, manifest.packages)


def _built(record: Record) -> Built:
    verified = sum(node.state == VERIFIED for node in record.nodes.values())
    return Built(record.category, record.source, record.image, record.stage, verified, len(record.nodes))
