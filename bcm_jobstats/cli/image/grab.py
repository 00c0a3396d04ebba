"""Take a node's files into an image: the golden-node way, made safe.

Looks for private keys, state and what is that node's own before BCM takes them; clones the node's image to IMAGE, shows
what a dry run says, asks, grabs, and compares the result with the node. `image rollout` then brings the nodes to it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from bcm_jobstats.bcm import heads
from bcm_jobstats.bcm.imagework import ImageWork
from bcm_jobstats.cli import common
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.errors import ExitStatus, JobstatsError, printable
from bcm_jobstats.imaging import grab, graborder, itemized, order
from bcm_jobstats.imaging.build import Builder
from bcm_jobstats.imaging.grab import Preflight
from bcm_jobstats.imaging.graborder import CannotGrab, Grab
from bcm_jobstats.imaging.record import BUILT, CLONING, GRABBING
from bcm_jobstats.imaging.trees import Tree

SHOWN = 20
"""Lines of the dry run that are shown."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("--from", dest="node", metavar="NODE", required=True, help="the node; it has to be up")
    parser.add_argument("--to", metavar="IMAGE", required=True, help="the image; it is made by clone")
    parser.add_argument(
        "--accept", action="store_true", help="accept what is told of state and of the node's own files"
    )
    parser.add_argument("--overwrite", action="store_true", help="IMAGE is there, nobody uses it: lose what it holds")
    parser.add_argument("--log", type=Path, metavar="FILE", help="write the whole log of the dry run there")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> ExitStatus:
    """Grab."""
    where = common.deployment(args)
    with common.exclusively(where):
        with common.busy(args, "Looking at the node"):
            wanted = _ordered(args, where)
            found = grab.preflight(where.bcm, where.imagework, args.node)
            source = order.tree_of(where.cluster, where.root, wanted.source)
            grab.require_unchanged(where.bcm, args.node, source, found.told)
        _tell(args, wanted, found)
        if found.secrets:
            refused = "\n  ".join(grab.refusal(wanted, found))
            raise CannotGrab(f"node {args.node}", f"has what must not be in an image:\n  {refused}")
        if found.warnings and args.yes and not args.accept:
            raise CannotGrab(f"node {args.node}", f"{len(found.warnings)} things to accept", "Accept them: --accept")
        return _grab(args, where, wanted, source, found)


def _ordered(args: argparse.Namespace, where: Deployment) -> Grab:
    records = where.records.all()
    return graborder.ordered(where.cluster, records, where.root, args.node, args.to, overwrite=args.overwrite)


def _tell(args: argparse.Namespace, wanted: Grab, found: Preflight) -> None:
    common.say(args, f"Grab of {wanted.node} (category {wanted.category}) into image {wanted.target}.")
    if not found.told.manifest:
        common.say(args, f"Nothing of bcm-jobstats is on {wanted.node}.")
    for warning in found.warnings:
        common.say(args, f"  Warning: {printable(warning)}")


def _grab(args: argparse.Namespace, where: Deployment, wanted: Grab, source: Tree, found: Preflight) -> ExitStatus:
    builder = Builder(where.imagework, where.records, where.originals, wanted, source)
    image = _clone(args, where, builder, wanted)
    ours = wanted.clones or wanted.grabbing
    try:
        log = _dry_run(args, where.imagework, wanted)
        _require_readable(args, wanted, log)
        if not args.yes and not common.agreed(args, f"Wipe {wanted.target} and take {wanted.node}'s files into it?"):
            common.say(args, "Nothing was grabbed.")
            _undo(builder, remove=ours)
            return ExitStatus.FAILED
        heads.require_active(where.root)
        if not wanted.foreign:
            where.records.save(wanted.record(CLONING).at(CLONING, digest=GRABBING))
            ours = True
        with common.busy(args, f"Grabbing {wanted.node}"):
            where.imagework.grab(wanted.node, wanted.target, write=True)
            grab.require_taken(where.imagework, wanted, log)
        held = grab.require_sound(where.bcm, wanted, source, image)
    except JobstatsError:
        heads.require_active(where.root)  # after a failover the other head goes on
        _undo(builder, remove=ours)
        raise
    record = builder.finish(image)
    for one in held:
        common.say(args, f"  Warning: {wanted.source} had it already: {printable(one)}")
    if args.json:
        document = {**asdict(record), "node": wanted.node, "findings": [asdict(one) for one in found.findings],
                    "jobs": list(found.told.jobs), "dry_run": itemized.summary(log)}  # fmt: skip
        print(json.dumps(document, indent=1))
    common.say(args, f"Image {record.image} has the files of {wanted.node} ({BUILT}).")
    common.say(args, f"Next: bcm-jobstats image rollout {wanted.category}")
    return ExitStatus.OK


def _clone(args: argparse.Namespace, where: Deployment, builder: Builder, wanted: Grab) -> Tree:
    """The tree of the target, made first where it has to be."""
    if wanted.clones:
        known = wanted.target in where.cluster.images
        heads.require_active(where.root)
        with common.busy(args, f"Cloning {wanted.source}"):
            builder.clone(order.tree_of(where.cluster, where.root, wanted.target).root if known else None)
        where.refresh()
        graborder.require_apart(where.cluster, where.root, wanted.target)
        builder.check(order.tree_of(where.cluster, where.root, wanted.target))
        where.records.save(wanted.record(CLONING).at(CLONING, digest=GRABBING))
    return order.tree_of(where.cluster, where.root, wanted.target)


def _dry_run(args: argparse.Namespace, work: ImageWork, wanted: Grab) -> str:
    """What the grab would do, told; the log."""
    with common.busy(args, f"Dry run of the grab of {wanted.node}"):
        work.grab(wanted.node, wanted.target, write=False)
        log = work.synclog(wanted.node)
    if args.log:
        args.log.write_text(log + "\n", encoding="utf-8")
    if not args.json:
        lines = [line for line in log.splitlines() if line.strip()]
        print(f"A grab of {wanted.node} into {wanted.target}: {itemized.summary(log)}.")
        print("".join(f"  {printable(line)}\n" for line in lines[:SHOWN]), end="")
        if len(lines) > SHOWN:
            print(f"  ... and {len(lines) - SHOWN} lines more: see --log FILE")
        sys.stdout.flush()
    return log


def _require_readable(args: argparse.Namespace, wanted: Grab, log: str) -> None:
    strange = grab.require_readable(wanted.node, log)
    for line in strange:
        common.say(args, f"  Warning: the log has a line that tells of no file: {printable(line)}")
    if strange and args.yes and not args.accept:
        cause = f"the log of the dry run has {len(strange)} lines to accept"
        raise CannotGrab(f"node {wanted.node}", cause, "Accept them: --accept")


def _undo(builder: Builder, *, remove: bool) -> None:
    """A clone that was made for the grab goes; what was there before stays."""
    if remove:
        builder.abandon()
