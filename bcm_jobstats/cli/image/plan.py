"""Show what `image build` would change in a category's software image; nothing is changed."""

from __future__ import annotations

import argparse
from pathlib import Path

from bcm_jobstats import imageplan
from bcm_jobstats.cli import common
from bcm_jobstats.cli.plan import outcome
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.imaging import order
from bcm_jobstats.imaging.order import Order
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.plan.model import Plan
from bcm_jobstats.plan.render import render


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    arguments(parser)
    parser.add_argument("--detailed-exitcode", action="store_true", help="exit status 2 when there are changes")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Those of every action that is about a build."""
    parser.add_argument("category", help="the category of nodes whose software image is meant")
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="a file of `image fetch`, to take artifacts from")
    parser.add_argument("--to", metavar="NAME", help="the name of the new image (default: the old one's and -jobstats)")
    parser.add_argument("--in-place", action="store_true", help="change the image in use instead of a clone")
    parser.add_argument("--adopt", action="store_true", help="take over what is there and not ours")


def run(args: argparse.Namespace) -> ExitStatus:
    """Plan and print."""
    where = deployment(args)
    with common.busy(args, "Reading the cluster"):
        ordered = ordered_by(args, where)
        plan = planned(args, where, ordered, tree(where, ordered))
    show(args, plan, ordered)
    return outcome(plan, detailed=args.detailed_exitcode)


def deployment(args: argparse.Namespace) -> Deployment:
    """The deployment, with the bundle that artifacts are looked for in first."""
    where = common.deployment(args)
    where.bundle = args.bundle
    return where


def ordered_by(args: argparse.Namespace, where: Deployment) -> Order:
    """What the command line asks for."""
    records = where.records.all()
    return order.of(where.cluster, records, where.root, args.category, to=args.to, in_place=args.in_place)


def tree(where: Deployment, ordered: Order) -> Tree:
    """The tree of the image to build: its own where it is there, else its source's under the new name."""
    there = ordered.target if ordered.target in where.cluster.images and not ordered.clones else ordered.source
    return order.tree_of(where.cluster, where.root, there, ordered.target)


def planned(args: argparse.Namespace, where: Deployment, ordered: Order, image: Tree) -> Plan:
    """What would change."""
    return imageplan.for_image(where, ordered.category, image, adopt=args.adopt, clone=not ordered.in_place)


def show(args: argparse.Namespace, plan: Plan, ordered: Order) -> None:
    """The plan on stdout, and what becomes of it."""
    if not (plan.changes or plan.conflicts or plan.problems):
        text = f"No changes. {_where(ordered)} holds what it should."
    else:
        target = f"image {ordered.target}"
        made = f"{target}, a clone of {ordered.source}, which stays as it is" if not ordered.in_place else target
        text = f"{render(plan, colour=args.colour)}In {made}."
    common.put(args, {**plan.to_json(), "source": ordered.source, "image": ordered.target}, text)


def _where(ordered: Order) -> str:
    return f"Image {ordered.source if ordered.clones else ordered.target}"
