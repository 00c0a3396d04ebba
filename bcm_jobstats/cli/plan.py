"""Show what would change; nothing is changed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bcm_jobstats import planning
from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.plan.model import Plan


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="save the plan, for `apply FILE`")
    parser.add_argument("--detailed-exitcode", action="store_true", help="exit status 2 when there are changes")
    parser.add_argument("--adopt", action="store_true", help="take over what is there and not ours")
    parser.add_argument(
        "--format", choices=("text", "cmsh"), default="text", help="cmsh: the commands that do the same"
    )


def run(args: argparse.Namespace) -> ExitStatus:
    """Plan and print."""
    where = common.deployment(args)
    with common.busy(args, "Reading the cluster"):
        plan = planning.for_apply(where, adopt=args.adopt)
    if args.out:
        args.out.write_text(json.dumps(plan.to_json(), indent=1), encoding="utf-8")
        args.out.chmod(0o600)
    if args.format == "cmsh":
        by_kind = {provider.kind: provider for provider in planning.providers(where)}
        steps = [(c.address, by_kind[c.kind].commands(c.name, c.before, c.after)) for c in plan.changes]
        document = [{"address": address, "commands": commands} for address, commands in steps]
        warning = (
            "# What these commands make is yours: bcm-jobstats destroy leaves it. To have it managed, use apply.\n"
        )
        common.put(
            args, document, warning + "\n".join(line for address, lines in steps for line in (f"# {address}", *lines))
        )
    else:
        common.show(args, plan)
    return outcome(plan, detailed=args.detailed_exitcode)


def outcome(plan: Plan, *, detailed: bool) -> ExitStatus:
    """Exit status of a plan: what stands in its way is a failure."""
    if plan.conflicts or plan.problems:
        return ExitStatus.FAILED
    return ExitStatus.CHANGES if plan.changes and detailed else ExitStatus.OK
