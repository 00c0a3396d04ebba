"""Prometheus targets on shared storage: what is registered, what is wrong with it, reconciling it with what BCM says,
and handing it to Prometheus over HTTP."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus, printable
from bcm_jobstats.monitoring.discovery import LISTEN, PATH
from bcm_jobstats.monitoring.registry import files_if_any
from bcm_jobstats.monitoring.targets import Registration
from bcm_jobstats.site import Site

ACTIONS = {
    "list": "every target file: its node, role and state (ok, damaged, stale, foreign, of another cluster)",
    "check": "what is wrong with the files and their directory, each with a remedy; exit status 1 when there is any",
    "sync": "remove stale files, mend damaged ones, make the one file of targets.read: compact; for the active head",
    "serve": f"answer Prometheus' HTTP service discovery at {PATH}, until it is ended",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    what = "; ".join(f"{name}: {text}" for name, text in ACTIONS.items())
    parser.add_argument("action", choices=tuple(ACTIONS), metavar="ACTION", help=what)
    listen = f"where `serve` listens (default: targets.listen of the site file, else {LISTEN})"
    parser.add_argument("--listen", metavar="ADDRESS:PORT", help=listen)


def run(args: argparse.Namespace) -> ExitStatus:
    """Do it."""
    return {"list": _list, "check": _check, "sync": _sync, "serve": _serve}[args.action](args)


def _list(args: argparse.Namespace) -> ExitStatus:
    where = common.deployment(args)
    return _print(args, where.targets.listed(where.cluster), "No node is registered.")


def _sync(args: argparse.Namespace) -> ExitStatus:
    where = common.deployment(args)
    # Before BCM is asked: a node that gets the role and registers in between would be taken for one without.
    files = files_if_any(_directory(args, where.stack.site))
    with common.exclusively(where):
        wrong = where.targets.sync(where.cluster, files)
        compacted = where.targets.compacted()
    if compacted:
        common.say(args, f"{where.targets.compact} is new.")
    if args.quiet and not wrong and not args.json:
        return ExitStatus.OK  # by the timer, which has nothing to tell then
    return _print(args, wrong, "All registrations are as BCM says.")


def _check(args: argparse.Namespace) -> ExitStatus:
    from bcm_jobstats.monitoring.checking import findings

    where = common.deployment(args)
    found = findings(where.targets, where.cluster, time.time())
    text = "\n".join(printable(str(finding)) for finding in found)
    common.put(args, [asdict(finding) for finding in found], text or "The targets are as they should be.")
    return ExitStatus.FAILED if found else ExitStatus.OK


def _serve(args: argparse.Namespace) -> ExitStatus:
    from bcm_jobstats.monitoring.serve import serve

    site = common.deployment(args).stack.site
    serve(_directory(args, site), args.listen or site.targets.listen or LISTEN)
    return ExitStatus.OK


def _directory(args: argparse.Namespace, site: Site) -> Path:
    """The targets directory on this machine; no cluster is needed for it."""
    directory: Path = args.root / site.targets.directory.lstrip("/")
    return directory


def _print(args: argparse.Namespace, found: Sequence[Registration], nothing: str) -> ExitStatus:
    document = [{"node": r.node, "role": r.role, "file": str(r.path), "state": r.state} for r in found]
    lines = [[r.node, r.role, r.state, str(r.path)] for r in found]
    common.put(args, document, common.table(["node", "role", "state", "file"], lines) if lines else nothing)
    return ExitStatus.OK
