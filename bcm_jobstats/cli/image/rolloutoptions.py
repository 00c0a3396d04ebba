"""What `image rollout` is told on the command line."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from bcm_jobstats.cli.main import BadUsage
from bcm_jobstats.imaging.rollout import Options
from bcm_jobstats.site import Amount, Rollout
from bcm_jobstats.site.durations import Duration
from bcm_jobstats.site.noderange import RangeError, expand


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


def options(args: argparse.Namespace, site: Rollout) -> Options:
    """How a rollout goes; raises BadUsage."""
    found = Options.of(site)
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
