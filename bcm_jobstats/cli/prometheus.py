"""Prometheus configuration that finds the registered targets, and recording rules that name the jobs on GPUs."""

from __future__ import annotations

import argparse

from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.monitoring import rules
from bcm_jobstats.monitoring.prometheus import configuration


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    ways = (
        "render: print a complete prometheus.yml; "
        f"rules: print the recording rules of job_map.mode info and both, which it expects in {rules.FILE} beside it "
        f"(/etc/prometheus/{rules.FILE})"
    )
    parser.add_argument("action", choices=("render", "rules"), help=ways)


def run(args: argparse.Namespace) -> ExitStatus:
    """Print it."""
    site = common.deployment(args).stack.site
    if args.action == "render":
        text = configuration(site)
        common.put(args, {"prometheus.yml": text}, text)
        if rules.wanted(site):
            common.say(args, f"It reads {rules.FILE} beside it: make that with `bcm-jobstats prometheus rules`.")
    else:
        text = rules.rules(site)
        common.put(args, {rules.FILE: text}, text)
        if not rules.wanted(site):
            common.say(args, "No rules: job_map.mode is label, and dcgm-exporter itself names the job, in hpc_job.")
    return ExitStatus.OK
