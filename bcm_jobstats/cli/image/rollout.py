"""Bring the nodes of a category to their software image: a canary first, then waves, each looked at before the next.

The image is the one that `image build` made for the category; without one, that which the category has: nodes that are
not as it is are brought back to it. It stops where too many nodes fail and says why; the same command goes on there.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any

from bcm_jobstats import rollouts
from bcm_jobstats.cli import common
from bcm_jobstats.cli.image.progress import Progress
from bcm_jobstats.cli.image.rollouttexts import document, planned, summary
from bcm_jobstats.cli.main import BadUsage
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.errors import ExitStatus, JobstatsError
from bcm_jobstats.imaging import drift
from bcm_jobstats.imaging.rolling import Rolling
from bcm_jobstats.imaging.rollout import Options, RolloutPlan
from bcm_jobstats.site import Amount
from bcm_jobstats.site.durations import Duration
from bcm_jobstats.site.noderange import RangeError, expand

LOG_LINES = 40
"""How much of a dry run's log is shown."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("category", help="the category of nodes whose software image is meant")
    parser.add_argument("--canary", metavar="NODES", help="the nodes that go first (site file: rollout.canary)")
    parser.add_argument("--wave", metavar="N|P%", help="how many nodes go together after it")
    parser.add_argument("--max-failures", metavar="N|P%", help="stop when more nodes failed, of those that went")
    parser.add_argument("--settle", metavar="TIME", help="how long services must have run well, such as 20s")
    parser.add_argument("--timeout", metavar="TIME", help="how long a wave may take until they do, such as 15m")
    parser.add_argument("--nodes", metavar="NODES", help="only these nodes; the category keeps its image meanwhile")
    boot = parser.add_mutually_exclusive_group()
    boot.add_argument("--reboot", action="store_true", help="boot nodes of which BCM says so: their jobs end")
    boot.add_argument("--no-reboot", action="store_true", help="go on although BCM says restart-required")
    parser.add_argument("--dry-run", action="store_true", help="show what would change on the canary; change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> ExitStatus:
    """Roll out."""
    where = common.deployment(args)
    options = _options(args, where)
    with common.exclusively(where):
        with common.busy(args, "Reading the cluster"):
            plan = rollouts.plan(where, args.category, options)
            tree = rollouts.tree_of(where, plan.image)
            mending = rollouts.mended(where, args.category, tree)
        if args.dry_run:
            return _dry_run(args, where, plan)
        if not args.json:
            slots = where.imagework.slots() if len(plan.nodes) > 1 else None
            common.put(args, None, planned(plan, options, slots, mending))
        if not args.yes and not common.agreed(args, f"Roll {plan.image} out to category {args.category}?"):
            common.say(args, "Nothing was changed.")
            return ExitStatus.FAILED
        if mending:
            rollouts.mend(where, mending, tree)
        return _roll(args, where, plan, options)


def _roll(args: argparse.Namespace, where: Deployment, plan: RolloutPlan, options: Options) -> ExitStatus:
    progress = Progress(args)
    means = rollouts.means(where, rollouts.tree_of(where, plan.image), options, progress)
    rolling = Rolling(plan, options, means)
    wanting: list[str] = []
    ended = False
    try:
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


def _options(args: argparse.Namespace, where: Deployment) -> Options:
    found = Options.of(where.stack.site.rollout)
    told: dict[str, Any] = {}
    if args.wave is not None:
        told["wave"] = amount("--wave", args.wave, least=1)
    if args.max_failures is not None:
        told["most"] = amount("--max-failures", args.max_failures)
    told |= {n: _seconds(n, t) for n, t in (("settle", args.settle), ("timeout", args.timeout)) if t is not None}
    told |= {n: _nodes(n, t) for n, t in (("canary", args.canary), ("nodes", args.nodes)) if t is not None}
    return replace(found, reboot=args.reboot, no_reboot=args.no_reboot, **told)


def amount(option: str, text: str, least: int = 0) -> Amount:
    """A number of nodes or a percentage from the command line; raises BadUsage."""
    try:
        found = Amount.parse(text)
    except ValueError as error:
        raise BadUsage(f"{option} {text}", "is neither a number of nodes nor a percentage", str(error)) from error
    if found.number < least:
        raise BadUsage(f"{option} {text}", "is too little", f"At least {least}.")
    return found


def _seconds(name: str, text: str) -> float:
    try:
        return 0.0 if text in {"0", "0s"} else Duration.parse(text).seconds
    except ValueError as error:
        raise BadUsage(f"--{name} {text}", "is no time such as 20s or 15m", str(error)) from error


def _nodes(name: str, text: str) -> tuple[str, ...]:
    try:
        return tuple(expand(text))
    except RangeError as error:
        raise BadUsage(f"--{name} {text}", str(error), "Such as dgx-01,dgx-[03-08].") from error


def _dry_run(args: argparse.Namespace, where: Deployment, plan: RolloutPlan) -> ExitStatus:
    """What would change on the first node that goes."""
    if not plan.nodes:
        common.put(args, {"node": None}, "No node would go.")
        return ExitStatus.OK
    node = plan.nodes[0]
    manifest = rollouts.manifest_of(rollouts.tree_of(where, plan.image))
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
