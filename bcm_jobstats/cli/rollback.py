"""Go back to before a generation: the last one, or the one given and all after it."""

from __future__ import annotations

import argparse

from bcm_jobstats import planning
from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("generation", type=int, nargs="?", help="see: bcm-jobstats generations")
    parser.add_argument("--adopt", action="store_true", help="take over what stands there now and is not ours")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> ExitStatus:
    """Roll back."""
    where = common.deployment(args)
    with common.exclusively(where):
        with common.busy(args, "Reading the cluster"):
            plan = planning.for_rollback(where, args.generation, adopt=args.adopt)
        return common.make(args, where, plan, asked=args.yes)
