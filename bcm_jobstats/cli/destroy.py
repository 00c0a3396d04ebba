"""Take everything back: the cluster is left as it was found. Needs no site file: what is ours says so itself."""

from __future__ import annotations

import argparse

from bcm_jobstats import planning
from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> ExitStatus:
    """Destroy."""
    where = common.deployment(args, lenient=True, thorough=True)
    with common.exclusively(where):
        with common.busy(args, "Reading the cluster"):
            plan = planning.for_destroy(where)
        status = common.make(args, where, plan, asked=args.yes)
        if status is ExitStatus.OK:
            where.originals.clear()
        return status
