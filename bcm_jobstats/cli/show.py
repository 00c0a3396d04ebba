"""Show a saved plan."""

from __future__ import annotations

import argparse
from pathlib import Path

from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.plan.model import load


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("file", type=Path, help="made with: plan --out FILE")


def run(args: argparse.Namespace) -> ExitStatus:
    """Print it."""
    common.show(args, load(args.file))
    return ExitStatus.OK
