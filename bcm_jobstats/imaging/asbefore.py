"""Whether nodes that went back are as their image has them, and which services run with other files there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Optional

from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.imaging import seen
from bcm_jobstats.imaging.drift import Difference
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.seen import Seen, Sight
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.stack import Stack


def changed_services(stack: Stack, image: Optional[Tree], source: Tree) -> list[str]:
    """Services that run with other files in `image` than in `source`, where that has them. None: an image that is gone,
    so that nobody knows."""
    paths = {name: set(files) for name, files in stack.files_by_service().items()}
    for name, binary in stack.binaries([role.name for role in stack.roles()]):
        paths[stack.service_of(name)].add(binary)
    return sorted(
        name
        for name, files in paths.items()
        if any(
            (there := _content(source, path)) is not None and (image is None or _content(image, path) != there)
            for path in files
        )
    )


def differing(
    bcm: Bcm, nodes: Collection[str], manifest: Optional[Manifest], source: Tree
) -> Mapping[str, Optional[list[Difference]]]:
    """node -> what is not as `source` has it, of all that its manifest lists and the left image's `manifest` (None: it
    is gone); None: it does not tell. One call, however many nodes."""
    listing = _listing(source, [one for one in (manifest, Manifest(source.root, source.manifest)) if one])
    paths = list(listing.entries)
    wanted = seen.in_tree(source, listing)
    told = bcm.execute(nodes, seen.command(paths, wanted.lines, ())) if nodes else {}
    found: dict[str, Optional[list[Difference]]] = {}
    for node in nodes:
        sight = seen.told(told[node], wanted.lines, {}) if node in told else None
        found[node] = None if sight is None else list(_compared(paths, wanted, sight))
    return found


def _compared(paths: Collection[str], wanted: Sight, there: Sight) -> Iterator[Difference]:
    owners = wanted.owners and there.owners
    for path in paths:
        left, right = wanted.paths.get(path), there.paths.get(path)
        if left is None or right is None:
            if left != right:
                yield Difference(path, "missing" if right is None else "still there")
        elif _plain(left, owners=owners) != _plain(right, owners=owners):
            yield Difference(path, "not as in the image")
    for (path, key), line in wanted.lines.items():
        if there.lines.get((path, key)) != line:
            yield Difference(path, f"line of {key} differs")


def _plain(one: Seen, *, owners: bool) -> Seen:
    """What counts of a path: a link has no mode of its own."""
    return replace(one, mode=None if one.type == "symlink" else one.mode, owner=one.owner if owners else "")


def _listing(source: Tree, manifests: Collection[Manifest]) -> Manifest:
    """A manifest that lists itself, the paths of others that a node can be asked about, and their lines; it is never
    saved."""
    listing = Manifest(source.root, source.manifest)
    paths = (*(path for one in manifests for path in one.entries), source.manifest)
    keys = {(path, key) for one in manifests for path, keys in one.lines.items() for key in keys}
    listing.entries = {path: {} for path in paths if seen.can_be_asked(path)}
    listing.lines = {path: sorted(key for where, key in keys if where == path) for path, _ in sorted(keys)}
    listing.directories, listing.packages = [], {}
    return listing


def _content(tree: Tree, path: str) -> Optional[bytes]:
    file = tree.locate(path)
    return file.read_bytes() if file.is_file() else None
