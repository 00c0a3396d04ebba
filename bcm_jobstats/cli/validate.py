"""Check the site file and the definitions; no cluster is needed."""

from __future__ import annotations

import argparse

from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.monitoring import discovery
from bcm_jobstats.site import SiteError


def configure(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(args: argparse.Namespace) -> ExitStatus:
    """Print all that is wrong, or that nothing is."""
    try:
        stack = common.deployment(args).stack
        stack.payload([role.name for role in stack.roles()])
        for warning in discovery.warnings(stack.site):
            common.say(args, f"Warning: {warning}")
    except SiteError as error:
        if not args.json:
            raise
        problems = [{"where": p.where, "cause": p.cause, "remedy": p.remedy} for p in error.problems]
        common.put(args, {"valid": False, "problems": problems}, "")
        return error.status
    roles = [{"role": role.name, "services": list(role.services)} for role in stack.roles()]
    text = "\n".join([f"{args.site} is valid."] + [f"  role {r['role']}: {', '.join(r['services'])}" for r in roles])
    common.put(args, {"valid": True, "problems": [], "roles": roles}, text)
    return ExitStatus.OK
