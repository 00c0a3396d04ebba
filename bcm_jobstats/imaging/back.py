"""The way back from a rollout: which nodes, to which image, and whether they are as that image has them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Optional

from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.bcm.imagework import NodeStatus
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import seen
from bcm_jobstats.imaging.drift import Difference
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.record import BUILDING, BUILT, CLONING, MOVED, RETURNING, VERIFIED, NodeRecord, Record
from bcm_jobstats.imaging.rollout import nodes_of
from bcm_jobstats.imaging.seen import Seen, Sight
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.stack import Stack

UNUSED = (CLONING, BUILDING, BUILT)
"""Stages at which no node has the image yet."""


class NoWayBack(JobstatsError):
    """There is no image to go back to."""


@dataclass(frozen=True)
class Return:
    """What a rollback does: `owns`: node -> the image of its own that it gets back ("": none), where that changes;
    `nodes` are synced; `left`: node -> why not."""

    record: Record
    category_too: bool
    owns: Mapping[str, str]
    nodes: tuple[str, ...]
    left: Mapping[str, str]


def make(category: str, record: Optional[Record], cluster: Cluster, status: Mapping[str, NodeStatus]) -> Return:
    """The way back of a category; raises NoWayBack."""
    subject = f"image rollback {category}"
    if record is None:
        cause = "no image was built for this category, or it was changed in place"
        raise NoWayBack(subject, cause, f"Run: bcm-jobstats rollback, then: bcm-jobstats image rollout {category}")
    if record.source == record.image:
        cause = f"image {record.image} was changed in place: there is no other to go back to"
        raise NoWayBack(subject, cause, f"Run: bcm-jobstats rollback, then: bcm-jobstats image rollout {category}")
    if record.source not in cluster.images:
        raise NoWayBack(subject, f"BCM does not know image {record.source} any more", "Restore it from backup.")
    present = cluster.categories[category].image if category in cluster.categories else ""
    members = {node.name: node for node in nodes_of(category, cluster)}
    told = dict(record.nodes)
    if record.stage not in UNUSED:
        for name, node in members.items():
            if cluster.image_of(node) == record.image:
                told.setdefault(name, NodeRecord("" if node.image == record.image else node.image, MOVED))
    if record.stage != RETURNING:
        told = {name: replace(node, state=MOVED, reason="") for name, node in told.items()}
    own = {name: cluster.nodes[name].image for name in told if name in cluster.nodes}
    owns = {name: told[name].former for name, image in own.items() if image in {"", record.image} - {told[name].former}}
    states = {name: status[name].state if name in status else "unknown to BCM" for name in told}
    left = {name: f"is {state}: it follows at its next boot" for name, state in states.items() if state != "UP"}
    going = tuple(name for name, node in told.items() if name not in left and node.state != VERIFIED)
    return Return(record.at(RETURNING, nodes=told), present == record.image, owns, going, left)


def changed_services(stack: Stack, image: Tree, source: Tree) -> list[str]:
    """Services that run with other files in `image` than in `source`, where that has them."""
    paths = {name: set(files) for name, files in stack.files_by_service().items()}
    for name, binary in stack.binaries([role.name for role in stack.roles()]):
        paths[name].add(binary)
    return sorted(
        name
        for name, files in paths.items()
        if any(_content(image, path) != (there := _content(source, path)) and there is not None for path in files)
    )


def differing(
    bcm: Bcm, nodes: Collection[str], manifest: Manifest, source: Tree
) -> Mapping[str, Optional[list[Difference]]]:
    """node -> what of all that the left image's `manifest` lists is not as `source` has it; None: it does not tell. One
    call, however many nodes."""
    paths = [path for path in (*manifest.entries, manifest.inside(manifest.file)) if seen.can_be_asked(path)]
    wanted = seen.in_tree(source, _listing(manifest, paths))
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


def _listing(manifest: Manifest, paths: Collection[str]) -> Manifest:
    """A manifest that lists `paths` and the lines of another, whatever is there; it is never saved."""
    listing = copy(manifest)
    listing.entries, listing.directories = {path: {} for path in paths}, []
    return listing


def _content(tree: Tree, path: str) -> Optional[bytes]:
    file = tree.locate(path)
    return file.read_bytes() if file.is_file() else None
