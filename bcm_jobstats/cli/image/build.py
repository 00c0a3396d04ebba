"""Build the software image of a category: clone the image in use, install into the clone, check it.

No node is touched; `image rollout` brings the nodes to it. Killed or failed half way, the same command completes it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Optional

from bcm_jobstats import imageplan
from bcm_jobstats.bcm import heads
from bcm_jobstats.cli import common
from bcm_jobstats.cli.image import plan as shown
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.imaging import contents, order, postchecks
from bcm_jobstats.imaging.build import Builder, NoJournal, Tell, manifest_digest
from bcm_jobstats.imaging.order import Order
from bcm_jobstats.imaging.postchecks import Check
from bcm_jobstats.imaging.record import BUILT, CLONING
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.plan.apply import Progress, check_fresh, refuse
from bcm_jobstats.plan.model import MARKS, Change, Plan

EVERY = 60
"""Seconds between two words about a clone where no terminal shows each second."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    shown.arguments(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> ExitStatus:
    """Build."""
    where = shown.deployment(args)
    with common.exclusively(where):
        with common.busy(args, "Reading the cluster"):
            ordered = shown.ordered_by(args, where)
            image = shown.tree(where, ordered)
            plan = shown.planned(args, where, ordered, image)
        if _nothing_to_do(ordered, plan, image):
            return _end(args, where, ordered, image, plan, checks=None)
        if not args.json:
            shown.show(args, plan, ordered)
        refuse(plan)
        if not args.yes and not common.agreed(args, f"Build image {ordered.target}?"):
            common.say(args, "Nothing was changed.")
            return ExitStatus.FAILED
        return _build(args, where, ordered, plan)


def _nothing_to_do(ordered: Order, plan: Plan, image: Tree) -> bool:
    """Whether the image in use, or the one that was built before, is as it should be, by its digest too."""
    if plan.changes or plan.conflicts or plan.problems:
        return False
    former = ordered.former
    if former is None or not former.unfinished:
        return True
    return former.stage == BUILT and former.digest == manifest_digest(image)


def _build(args: argparse.Namespace, where: Deployment, ordered: Order, plan: Plan) -> ExitStatus:
    source = order.tree_of(where.cluster, where.root, ordered.source)
    builder = Builder(where.imagework, where.records, where.originals, ordered, source, _teller(args))
    journal = where.generations if ordered.in_place else NoJournal()
    if ordered.clones:
        known = (
            ordered.former is not None and ordered.former.stage == CLONING and ordered.target in where.cluster.images
        )
        builder.clone(order.tree_of(where.cluster, where.root, ordered.target).root if known else None)
    where.refresh()
    image = order.tree_of(where.cluster, where.root, ordered.target)
    now = shown.planned(args, where, ordered, image)
    if ordered.clones:
        builder.check(image)
    elif not args.yes:
        check_fresh(plan, now)
    builder.fill(now, imageplan.image_providers(where, image), image, journal, _progress(args))
    content = contents.of_category(where.stack, where.placed(), where.cluster, ordered.category)
    checks = postchecks.run(image, where.root, where.stack, content)
    if not any(one.state == postchecks.FAILED for one in checks):
        builder.finish(image)
    return _end(args, where, ordered, image, now, checks=checks)


def _end(
    args: argparse.Namespace,
    where: Deployment,
    ordered: Order,
    image: Tree,
    plan: Plan,
    *,
    checks: Optional[Sequence[Check]],
) -> ExitStatus:
    """Tell how it ended and what comes next."""
    failed = [one for one in checks or () if one.state == postchecks.FAILED]
    record = where.records.of(ordered.category)
    if args.json:
        document = {
            "category": ordered.category,
            "source": ordered.source,
            "image": ordered.target if checks is not None or record else ordered.source,
            "stage": record.stage if record else None,
            "changes": len(plan.changes),
            "digest": manifest_digest(image),
            "checks": [asdict(one) for one in checks or ()],
        }
        print(json.dumps(document, indent=1))
    elif checks is None:
        shown.show(args, plan, ordered)
    else:
        rows = [[one.name, one.state, one.detail] for one in checks]
        print(common.table(["Check", "Result", "Detail"], rows))
    if failed:
        common.say(args, f"Image {ordered.target} is not ready: {len(failed)} checks failed. No node was touched.")
        return ExitStatus.FAILED
    if record and record.stage == BUILT:
        common.say(args, f"Next: bcm-jobstats image rollout {ordered.category}")
    return ExitStatus.OK


def _progress(args: argparse.Namespace) -> Progress:
    def tell(change: Change, number: int, total: int) -> None:
        heads.require_active(args.root)  # a failover may come at any moment
        common.say(args, f"  [{number}/{total}] {MARKS[change.action]} {change.address}")

    return tell


def _teller(args: argparse.Namespace) -> Tell:
    """Each second on a terminal, in one line; else each minute."""
    live = sys.stderr.isatty() and not args.json

    def tell(what: str, seconds: float) -> None:
        if live and not args.quiet:
            print(f"\r\033[K{what}: {seconds:.0f} s", end="", file=sys.stderr, flush=True)
        elif round(seconds) % EVERY == 0:
            common.say(args, f"{what}: {seconds:.0f} s")

    return tell
