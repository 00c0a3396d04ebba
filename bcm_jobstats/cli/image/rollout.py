"""Bring the nodes of a category to their software image: a canary first, then waves, each looked at before the next.

The image is the one that `image build` made for the category; without one, that which the category has: nodes that are
not as it is are brought back to it. It stops where too many nodes fail and says why; the same command goes on there.
"""

from __future__ import annotations

import argparse
import json

from bcm_jobstats import images, rollouts
from bcm_jobstats.cli import common
from bcm_jobstats.cli.image import rolloutoptions
from bcm_jobstats.cli.image.progress import Progress
from bcm_jobstats.cli.image.rollouttexts import document, planned, question, summary
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.errors import ExitStatus, JobstatsError
from bcm_jobstats.imaging import drift
from bcm_jobstats.imaging.rolling import Rolling
from bcm_jobstats.imaging.rollout import Options, RolloutPlan

LOG_LINES = 40
"""How much of a dry run's log is shown."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    rolloutoptions.configure(parser)


def run(args: argparse.Namespace) -> ExitStatus:
    """Roll out."""
    where = common.deployment(args)
    options = rolloutoptions.options(args, where.stack.site.rollout)
    with common.exclusively(where):
        with common.busy(args, "Reading the cluster"):
            plan = rollouts.plan(where, args.category, options)
            tree = images.tree_of(where, plan.image)
            mending = images.mended(where, args.category, tree)
        if args.dry_run:
            return _dry_run(args, where, plan)
        if not args.json:
            slots = where.imagework.slots() if len(plan.nodes) > 1 else None
            common.put(args, None, planned(plan, options, slots, mending))
        if not args.yes and not common.agreed(args, question(plan)):
            common.say(args, "Nothing was changed.")
            return ExitStatus.FAILED
        if mending:
            images.mend(where, mending, tree)
        return _roll(args, where, plan, options)


def _roll(args: argparse.Namespace, where: Deployment, plan: RolloutPlan, options: Options) -> ExitStatus:
    progress = Progress(args)
    tree = images.tree_of(where, plan.image)
    rolling = Rolling(plan, options, rollouts.means(where, plan, tree, options, progress))
    wanting: list[str] = []
    ended = False
    try:
        rollouts.begin(where, plan, tree)
        rolling.run()
        if plan.ends:
            wanting = rollouts.finish(where, rolling, progress.tell)
            ended = True
    except JobstatsError as error:
        if args.json:
            print(json.dumps(document(plan, rolling, ended, str(error)), indent=1))
        raise
    finally:
        progress.end()
    if args.json:
        print(json.dumps(document(plan, rolling, ended), indent=1))
    common.say(args, summary(plan, rolling, wanting, ended))
    return ExitStatus.FAILED if rolling.failed() else ExitStatus.OK


def _dry_run(args: argparse.Namespace, where: Deployment, plan: RolloutPlan) -> ExitStatus:
    """What would change on the first node that goes."""
    if not plan.nodes:
        common.put(args, {"node": None}, "No node would go.")
        return ExitStatus.OK
    node = plan.nodes[0]
    manifest = images.manifest_of(images.tree_of(where, plan.image))
    found = drift.of_nodes(where.bcm, [node], manifest)[node]
    where.imagework.sync([node], write=False)
    log = where.imagework.synclog(node)
    uses = plan.uses[node]
    told = {
        "node": node,
        "image": plan.image,
        "differs": None if found is None else [{"path": one.path, "what": one.what} for one in found],
        "dry_run_of": uses,
        "log": log,
    }
    lines = [f"{node} against {plan.image}, what bcm-jobstats has in it:"]
    lines += ["  it does not tell"] if found is None else [f"  {one.path}: {one.what}" for one in found] or ["  equal"]
    lines.append(f"Dry run of imageupdate with {uses}{'' if uses == plan.image else ', the image that it has now'}:")
    shown = log.splitlines()
    lines += [f"  {line}" for line in shown[:LOG_LINES]]
    lines += [f"  and {len(shown) - LOG_LINES} more lines"] if len(shown) > LOG_LINES else []
    common.put(args, told, "\n".join(lines))
    return ExitStatus.OK
