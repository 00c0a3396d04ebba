"""Take everything back: the cluster is left as it was found."""

from __future__ import annotations

import argparse

from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> ExitStatus:
    """Destroy."""
    where = common.deployment(args)
    with common.exclusively(where):
        with common.busy(args, "Reading the cluster"):
            plan = where.plan_destroy()
        return common.make(args, where, plan, asked=args.yes)
