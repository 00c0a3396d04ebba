"""Prometheus configuration that finds the registered targets."""

from __future__ import annotations

import argparse

from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.monitoring.prometheus import configuration


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("action", choices=("render",), help="print a complete prometheus.yml")


def run(args: argparse.Namespace) -> ExitStatus:
    """Print it."""
    text = configuration(common.deployment(args).stack.site)
    common.put(args, {"prometheus.yml": text}, text)
    return ExitStatus.OK
