"""Plan with the exit contract, for cron and monitoring: 0 as configured, 2 something differs, 1 failed."""

from __future__ import annotations

import argparse

from bcm_jobstats import planning
from bcm_jobstats.cli import common
from bcm_jobstats.cli.plan import outcome
from bcm_jobstats.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(args: argparse.Namespace) -> ExitStatus:
    """Plan and print."""
    with common.busy(args, "Reading the cluster"):
        plan = planning.for_apply(common.deployment(args))
    common.show(args, plan)
    return outcome(plan, detailed=True)
