"""Prometheus targets on shared storage: list what is registered, or reconcile it with what BCM says."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.monitoring.targets import Registration


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("action", choices=("list", "sync"), help="sync removes stale files and mends damaged ones")


def run(args: argparse.Namespace) -> ExitStatus:
    """List or sync."""
    where = common.deployment(args)
    if args.action == "list":
        return _print(args, where.targets.listed(where.cluster), "No node is registered.")
    with common.exclusively(where):
        return _print(args, where.targets.sync(where.cluster), "All registrations are as BCM says.")


def _print(args: argparse.Namespace, found: Sequence[Registration], nothing: str) -> ExitStatus:
    document = [{"node": r.node, "role": r.role, "file": str(r.path), "state": r.state} for r in found]
    lines = [[r.node, r.role, r.state, str(r.path)] for r in found]
    common.put(args, document, common.table(["node", "role", "state", "file"], lines) if lines else nothing)
    return ExitStatus.OK
