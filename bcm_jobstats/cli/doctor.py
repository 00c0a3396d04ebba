"""Look for what is wrong, read-only. Exit status 1 when something is.

Without options: the private keys of BCM's certificates. With --contract: does BCM still behave as when it was probed?
Run that after an upgrade of BCM.
"""

from __future__ import annotations

import argparse

from bcm_jobstats.checks import contract, keys
from bcm_jobstats.cli import common
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("--contract", action="store_true", help="compare BCM with the transcript of the last probe")


def run(args: argparse.Namespace) -> ExitStatus:
    """Check."""
    where = common.deployment(args, lenient=True)
    return _contract(args, where) if args.contract else _keys(args, where)


def _keys(args: argparse.Namespace, where: Deployment) -> ExitStatus:
    found = list(keys.problems(where.root, where.access.key))
    document = [{"file": p.subject, "cause": p.cause, "remedy": p.remedy} for p in found]
    common.put(args, document, "\n".join(map(str, found)) or "Private keys: no problem found.")
    return ExitStatus.FAILED if found else ExitStatus.OK


def _contract(args: argparse.Namespace, where: Deployment) -> ExitStatus:
    before = contract.saved(where.root / contract.SAVED)
    found = []
    for finding in contract.compare(before, contract.prober(where)):
        found.append(finding)
        common.say(args, f"  {finding.name}: {finding.now}")
    changed = [finding for finding in found if finding.changed]
    rows = [[f.name, f.before, f.now, f.consequence] for f in changed]
    text = common.table(["behaviour", "was", "is", "what follows"], rows) if rows else "BCM behaves as it was probed."
    common.put(args, [{**vars(f), "changed": f.changed} for f in found], text)
    if changed:
        common.say(args, "When that is as it should be, take it as the new state with: bcm-jobstats probe")
    return ExitStatus.FAILED if changed else ExitStatus.OK
