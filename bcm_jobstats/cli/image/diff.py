"""Show what in a category's software image, or on nodes, is not as bcm-jobstats wrote it. Exit status 1 when something
differs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from bcm_jobstats.bcm.entities import Node
from bcm_jobstats.cli import common
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.errors import ExitStatus, JobstatsError
from bcm_jobstats.imaging import drift, order
from bcm_jobstats.imaging.drift import Difference
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.record import BUILT, ROLLING
from bcm_jobstats.site.noderange import RangeError, expand

Found = tuple[str, Optional[Sequence[Difference]], str]
"""The image or node, what differs there (None: it cannot be told, and why)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("category", help="the category of nodes whose software image is meant")
    parser.add_argument("--node", metavar="NODES", help="these nodes, each against its image: dgx-[01-04],dgx-07")


def run(args: argparse.Namespace) -> ExitStatus:
    """Look and print."""
    where = common.deployment(args)
    with common.busy(args, "Reading the cluster"):
        order.image_of(where.cluster, args.category)
        found = list(_nodes(where, args.node) if args.node else _images(where, args.category))
    document = [_told(*one) for one in found]
    rows = [[name, one.path, one.what] for name, differing, _ in found for one in differing or ()]
    rows += [[name, "", reason] for name, differing, reason in found if differing is None]
    names = ", ".join(name for name, _, _ in found)
    same = f"Nothing differs: {names} as bcm-jobstats wrote it."
    common.put(args, document, common.table(["Where", "Path", "What"], rows) if rows else same)
    return ExitStatus.FAILED if rows else ExitStatus.OK


def _told(name: str, differing: Optional[Sequence[Difference]], reason: str) -> Mapping[str, Any]:
    different = None if differing is None else [{"path": one.path, "what": one.what} for one in differing]
    return {"where": name, "differences": different, "reason": reason}


def _images(where: Deployment, category: str) -> Iterator[Found]:
    """The image in use, and one that is built and not yet in use."""
    record = where.records.of(category)
    names = [order.image_of(where.cluster, category)]
    if record and record.stage in {BUILT, ROLLING} and record.image in where.cluster.images:
        names = [*names, record.image] if record.image not in names else names
    for name in names:
        tree = order.tree_of(where.cluster, where.root, name)
        if not tree.root.is_dir():
            cause = f"its directory {tree.shown} is not there"
            raise JobstatsError(f"software image {name}", cause, "Check it in cmsh: softwareimage; list")
        if tree.record.exists():
            yield f"image {name}", drift.of_tree(tree), ""
        elif name == names[-1]:
            yield f"image {name}", None, "nothing of bcm-jobstats is in it"


def _nodes(where: Deployment, text: str) -> Iterator[Found]:
    """Nodes against the images they use: one question for each image."""
    by_image: dict[str, list[Node]] = {}
    for node in _named(where, text):
        by_image.setdefault(where.cluster.image_of(node) or "", []).append(node)
    for image, nodes in by_image.items():
        names = [node.name for node in nodes]
        tree = order.tree_of(where.cluster, where.root, image) if image in where.cluster.images else None
        if tree is None or not tree.record.exists():
            lost = tree is not None and not tree.root.is_dir()
            what = "has no directory any more" if lost else "holds nothing of bcm-jobstats"
            yield from ((name, None, f"its image {image or '(none)'} {what}") for name in names)
            continue
        found = drift.of_nodes(where.bcm, names, Manifest(tree.root, tree.manifest))
        yield from ((name, found[name], "" if found[name] is not None else "did not answer") for name in names)


def _named(where: Deployment, text: str) -> Sequence[Node]:
    try:
        names = expand(text)
    except RangeError as error:
        raise JobstatsError(f"--node {text}", str(error), "Write it as dgx-[01-04],dgx-07.") from error
    unknown = [name for name in names if name not in where.cluster.nodes or where.cluster.nodes[name].is_head]
    if unknown:
        raise JobstatsError(f"--node {text}", f"BCM knows no node {', '.join(unknown[:3])}", "See in cmsh: device list")
    return [where.cluster.nodes[name] for name in names]
