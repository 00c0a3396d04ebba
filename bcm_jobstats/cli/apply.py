"""Make the changes: plan, ask, change, read back. Killed or failed half way, the same command completes it."""

from __future__ import annotations

import argparse
from pathlib import Path

from bcm_jobstats import planning
from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.plan.apply import check_fresh
from bcm_jobstats.plan.model import load


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("file", type=Path, nargs="?", help="a saved plan; refused when the cluster changed since")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--adopt", action="store_true", help="take over what is there and not ours")


def run(args: argparse.Namespace) -> ExitStatus:
    """Apply. A saved plan is its own approval."""
    where = common.deployment(args)
    saved = load(args.file) if args.file else None
    with common.exclusively(where):
        if saved is None:
            with common.busy(args, "Reading the cluster"):
                plan = planning.for_apply(where, adopt=args.adopt)
            return common.make(args, where, plan, asked=args.yes)
        with common.busy(args, "Reading the cluster"):
            check_fresh(saved, common.again(where, saved))
        return common.make(args, where, saved, asked=True)
