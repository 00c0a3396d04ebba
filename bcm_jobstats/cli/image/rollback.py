"""Bring the nodes of a category back to the image before: what `image rollout` did is undone, and seen to be undone.

An image that was built and not rolled out is only forgotten.
"""

from __future__ import annotations

import argparse

from bcm_jobstats import rollbacks
from bcm_jobstats.cli import common
from bcm_jobstats.cli.image.progress import Progress
from bcm_jobstats.cli.image.rollout import amount
from bcm_jobstats.cli.image.rollouttexts import boot_lines, left_lines
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.imaging.back import UNUSED, Return
from bcm_jobstats.imaging.returning import NotBack
from bcm_jobstats.site import Amount
from bcm_jobstats.site.noderange import fold


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("category", help="the category of nodes whose software image is meant")
    parser.add_argument("--wave", metavar="N|P%", help="how many nodes go together (site file: rollout.wave)")
    parser.add_argument("--remove-image", action="store_true", help="remove the image that was built, with its files")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> ExitStatus:
    """Go back."""
    where = common.deployment(args)
    wave = amount("--wave", args.wave, least=1) if args.wave else where.stack.site.rollout.wave
    with common.exclusively(where):
        with common.busy(args, "Reading the cluster"):
            record = where.records.of(args.category)
            unused = record is not None and record.stage in UNUSED
            plan = rollbacks.way_back(where, args.category)
        if not args.json:
            common.put(args, None, _told(plan, unused=unused, remove=args.remove_image))
        if not args.yes and not common.agreed(args, f"Take category {args.category} back to {plan.record.source}?"):
            common.say(args, "Nothing was changed.")
            return ExitStatus.FAILED
        if not unused and (plan.category_too or plan.owns or plan.nodes):
            _go(args, where, plan, wave)
        wanting = rollbacks.forget(where, plan.record, remove_image=args.remove_image)
    source = plan.record.source
    text = f"Done: category {args.category} has image {source}, {len(plan.nodes)} nodes were brought back to it."
    if args.json:
        common.put(
            args, {"category": args.category, "image": source, "nodes": list(plan.nodes), "left": dict(plan.left)}, ""
        )
    else:
        common.say(args, "\n".join([text, *left_lines(plan.left), *boot_lines(wanting)]))
    return ExitStatus.OK


def _go(args: argparse.Namespace, where: Deployment, plan: Return, wave: Amount) -> None:
    """Bring the nodes back; raises NotBack."""
    progress = Progress(args)
    returning = rollbacks.go_back(where, plan, wave, progress)
    try:
        returning.run()
    finally:
        progress.end()
    if returning.failed:
        raise NotBack(args.category, returning.failed)


def _told(plan: Return, *, unused: bool, remove: bool) -> str:
    """The way back for people."""
    record = plan.record
    lines = [f"Category {record.category}: back from image {record.image} to {record.source}"]
    if unused:
        lines = [f"Category {record.category}: image {record.image} was not rolled out; its build is forgotten"]
    else:
        lines += [f"  category: software image {record.source}"] if plan.category_too else []
        for former in sorted(set(plan.owns.values())):
            names = fold(name for name, image in plan.owns.items() if image == former)
            lines.append(f"  {names}: {f'software image {former} of their own' if former else 'none of their own'}")
        lines += [f"  imageupdate: {fold(plan.nodes)}"] if plan.nodes else []
        lines += left_lines(plan.left)
    lines += [f"  software image {record.image} is removed with its files"] if remove else []
    return "\n".join(lines)
