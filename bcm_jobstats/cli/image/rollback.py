"""Bring the nodes of a category back to the image before: what `image rollout` did is undone, and seen to be undone.

An image that was built and not rolled out is only forgotten, and so is one that was changed in place.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any, Optional

from bcm_jobstats import rollbacks
from bcm_jobstats.cli import common
from bcm_jobstats.cli.image.progress import Progress
from bcm_jobstats.cli.image.rolloutoptions import amount
from bcm_jobstats.cli.image.rollouttexts import boot_lines, left_lines
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.errors import ExitStatus, JobstatsError
from bcm_jobstats.imaging.back import Return
from bcm_jobstats.imaging.record import FAILED
from bcm_jobstats.imaging.returning import NotBack
from bcm_jobstats.site import Amount
from bcm_jobstats.site.noderange import fold


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("category", help="the category of nodes whose software image is meant")
    parser.add_argument("--wave", metavar="N|P%", help="how many nodes go together (site file: rollout.wave)")
    parser.add_argument("--reboot", action="store_true", help="boot nodes of which BCM says so: their jobs end")
    parser.add_argument("--remove-image", action="store_true", help="remove the image that was built, with its files")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> ExitStatus:
    """Go back."""
    where = common.deployment(args)
    wave = amount("--wave", args.wave, least=1) if args.wave else where.stack.site.rollout.wave
    with common.exclusively(where):
        with common.busy(args, "Reading the cluster"):
            plan = rollbacks.way_back(where, args.category)
        if not args.json:
            common.put(args, None, _told(plan, remove=args.remove_image))
        if not args.yes and not common.agreed(args, _question(plan)):
            common.say(args, "Nothing was changed.")
            return ExitStatus.FAILED
        try:
            failed = _go(args, where, plan, wave)
            if failed:
                raise NotBack(args.category, failed)
            wanting = rollbacks.forget(where, plan, remove_image=args.remove_image)
        except JobstatsError as error:
            where.refresh()
            if args.json:
                print(json.dumps(_document(where, plan, str(error)), indent=1))
            raise
    if args.json:
        common.put(args, _document(where, plan), "")
    common.say(args, "\n".join([_done(where, plan), *left_lines(plan.left), *boot_lines(wanting)]))
    return ExitStatus.OK


def _go(args: argparse.Namespace, where: Deployment, plan: Return, wave: Amount) -> Mapping[str, str]:
    """Bring the nodes back; node -> why it is not."""
    if plan.unused or not (plan.category_too or plan.owns or plan.nodes):
        return {}
    progress = Progress(args)
    returning = rollbacks.go_back(where, plan, wave, progress, reboot=args.reboot)
    try:
        returning.run()
    finally:
        progress.end()
    return returning.failed


def _question(plan: Return) -> str:
    record = plan.record
    if plan.unused:
        return f"Forget the build of {record.image} for category {record.category}?"
    return f"Take category {record.category} back to {record.source}?"


def _told(plan: Return, *, remove: bool) -> str:
    """The way back for people."""
    record = plan.record
    lines = [f"Category {record.category}: back from image {record.image} to {record.source}"]
    if plan.in_place:
        lines = [
            f"Category {record.category}: image {record.image} was changed in place, and stays as it is; its record is "
            f"forgotten, and no node is touched"
        ]
    elif plan.unused:
        lines = [f"Category {record.category}: image {record.image} was not rolled out; its build is forgotten"]
    else:
        lines += [f"  category: software image {record.source}"] if plan.category_too else []
        for former in sorted(set(plan.owns.values())):
            names = fold(name for name, image in plan.owns.items() if image == former)
            lines.append(f"  {names}: {f'software image {former} of their own' if former else 'none of their own'}")
        lines += [f"  imageupdate: {fold(plan.nodes)}"] if plan.nodes else []
        lines += left_lines(plan.left)
    lines += [f"  software image {record.image} is removed with its files"] if remove and not plan.in_place else []
    return "\n".join(lines)


def _done(where: Deployment, plan: Return) -> str:
    """How it ended, and what comes next where nothing was changed on nodes."""
    record, name = plan.record, plan.record.category
    if plan.in_place:
        return (
            f"Done: nothing was changed on nodes. Next, to have image {record.image} as it was before: bcm-jobstats "
            f"rollback; to bring the nodes to it as it is: bcm-jobstats image rollout {name}"
        )
    image = _image(where, name)
    state = f"category {name} has image {image}" if image else f"the image of category {name} is not known"
    if plan.unused:
        return f"Done: the build of {record.image} is forgotten; {state}."
    return f"Done: {state}, {len(plan.nodes)} nodes were brought back."


def _document(where: Deployment, plan: Return, error: Optional[str] = None) -> dict[str, Any]:
    """A rollback as data."""
    record = where.records.of(plan.record.category)
    failed = (
        {name: node.reason for name, node in record.nodes.items() if node.state == FAILED} if error and record else {}
    )
    return {
        "category": plan.record.category,
        "image": _image(where, plan.record.category),
        "nodes": list(plan.nodes),
        "left": dict(plan.left),
        "failed": failed,
        "error": error,
    }


def _image(where: Deployment, category: str) -> Optional[str]:
    """The image that a category has now; None: there is none, or BCM does not tell."""
    try:
        found = where.cluster.categories.get(category)
    except JobstatsError:
        return None
    return found.image if found else None
