"""What runs where: node, role, services, target, scraped. Exit status 1 when something does not work."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from bcm_jobstats.checks.status import Row, rows
from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.monitoring.prometheus import PrometheusUnreachable, up


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("--no-prometheus", action="store_true", help="do not ask Prometheus what it scrapes")


def run(args: argparse.Namespace) -> ExitStatus:
    """Print the table."""
    where = common.deployment(args)
    scrapes = None
    if not args.no_prometheus:
        try:
            scrapes = up(where.stack.site.prometheus.url)
        except PrometheusUnreachable as error:
            common.say(args, f"{error}")
    with common.busy(args, "Reading the cluster"):
        found = rows(where, scrapes)
    head = ["node", "role", "services", "target", "scraped"]
    lines = [[row.node, row.role, _services(row), "yes" if row.target else "no", _scraped(row)] for row in found]
    text = common.table(head, lines) if lines else "No node has a role of bcm-jobstats."
    common.put(args, [{**asdict(row), "ok": row.ok} for row in found], text)
    return ExitStatus.OK if all(row.ok for row in found) else ExitStatus.FAILED


def _services(row: Row) -> str:
    wrong = [f"{name} {state}" for name, state in row.services.items() if state != "UP"]
    return f"{row.running}/{len(row.services)} up" + (f" ({', '.join(wrong)})" if wrong else "")


def _scraped(row: Row) -> str:
    return "?" if row.scraped is None else f"{row.scraped}/{row.exporters}"
