"""What several sub-commands share: the deployment, progress, the question before a change."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bcm_jobstats import planning
from bcm_jobstats.bcm import certificate, heads
from bcm_jobstats.bcm.errors import CannotAssign
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.enable.walkthrough import walkthrough
from bcm_jobstats.errors import ExitStatus, JobstatsError, printable
from bcm_jobstats.plan.apply import carry_out, check_fresh, refuse
from bcm_jobstats.plan.lock import locked
from bcm_jobstats.plan.model import MARKS, Change, Plan
from bcm_jobstats.plan.render import render


class CannotChange(JobstatsError):
    """The way to BCM is for reading, and this command changes something. Exit status 69."""

    status = ExitStatus.UNREACHABLE


def deployment(args: argparse.Namespace, *, lenient: bool = False, thorough: bool = False) -> Deployment:
    """The deployment that the global options name; `lenient` and `thorough`: see Deployment."""
    where = Deployment(args.root, args.site, lenient, args.bcm, thorough)
    if lenient and where.stack and where.unsound and args.site.exists():
        say(args, f"{where.unsound}\nThe site file is left aside: defaults stand for it.")
    return where


def say(args: argparse.Namespace, text: str) -> None:
    """A message for the person at the terminal: on stderr, unless --quiet."""
    if not args.quiet:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def busy(args: argparse.Namespace, what: str) -> Iterator[None]:
    """A line on the terminal while something takes its time; gone when it is done."""
    live = not args.quiet and not args.json and sys.stderr.isatty()
    if live:
        print(f"{what} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def put(args: argparse.Namespace, document: Any, text: str) -> None:
    """Data on stdout: `document` with --json, else `text`."""
    print(json.dumps(document, indent=1) if args.json else text.rstrip("\n"))


def show(args: argparse.Namespace, plan: Plan) -> None:
    """A plan on stdout."""
    put(args, plan.to_json(), render(plan, colour=args.colour))


def table(head: list[str], lines: list[list[str]]) -> str:
    """Columns as wide as their widest cell. Cells may hold what BCM said: nothing in them moves the cursor."""
    lines = [[printable(cell) for cell in line] for line in lines]
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    rows = [head, ["-" * width for width in widths], *lines]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def agreed(args: argparse.Namespace, question: str) -> bool:
    """Ask on the terminal; end of input is no."""
    print(f"\n{question}\n  Only 'yes' will be accepted: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == "yes"


def make(args: argparse.Namespace, where: Deployment, plan: Plan, *, asked: bool) -> ExitStatus:
    """Carry out `plan` after asking (unless `asked`), on a cluster that is still as it was planned for."""
    if not args.json:
        show(args, plan)
    refuse(plan)
    heads.require_active(where.root, where.cluster)
    if plan.changes and not asked:
        if not agreed(args, f"Carry this out on cluster {plan.about['cluster']}?"):
            say(args, "Nothing was changed.")
            return ExitStatus.FAILED
        where.refresh()
        check_fresh(plan, again(where, plan))
    where.tidy()
    providers = planning.providers(where, destroy=plan.purpose != "apply")
    number = None
    try:
        if plan.changes:
            number = carry_out(plan, providers, where.generations, where.originals, _progress(args))
    except CannotAssign as error:
        if not _added_by_hand(args, where, error):
            raise
        where.refresh()
        now = again(where, plan)
        return make(args, where, now, asked=getattr(args, "yes", False) or not _beyond(plan, now))
    except JobstatsError:
        heads.require_active(where.root)  # a failover is the better reason
        raise
    added, changed, destroyed = plan.counts()
    text = f"Done: {added} added, {changed} changed, {destroyed} destroyed." + (
        f" Generation {number}." if number else ""
    )
    if args.json:
        print(json.dumps({"added": added, "changed": changed, "destroyed": destroyed, "generation": number}))
    else:
        say(args, text)
    return ExitStatus.OK


def _added_by_hand(args: argparse.Namespace, where: Deployment, error: CannotAssign) -> bool:
    """Explain how to add the role in Base View and wait for Enter; end of input is no."""
    print(walkthrough(error.where, error.role, where.cluster.version), file=sys.stderr)
    print("\nPress Enter when it is saved, and this goes on: ", end="", file=sys.stderr, flush=True)
    return bool(sys.stdin.readline())


def _beyond(agreed_to: Plan, now: Plan) -> bool:
    """Whether a plan makes a change that the other, which was agreed to, did not."""
    known = {change.address: change.after for change in agreed_to.changes}
    return any(change.address not in known or change.after != known[change.address] for change in now.changes)


def again(where: Deployment, plan: Plan) -> Plan:
    """The same kind of plan, from the cluster as it is now."""
    if plan.purpose == "destroy":
        return planning.for_destroy(where)
    if plan.purpose == "rollback":
        return planning.for_rollback(where, int(plan.about["generation"]), adopt=plan.about.get("adopt") == "yes")
    return planning.for_apply(where, adopt=plan.about.get("adopt") == "yes")


@contextmanager
def exclusively(where: Deployment) -> Iterator[None]:
    """The lock of the head node, which has to be the active one."""
    heads.require_active(where.root)
    if not where.bcm.writes:
        cause = f"only reads, and this changes something ({where.choice.reason})"
        raise CannotChange(f"--bcm {where.bcm.name}", cause, "Run this on a head node with cmsh, with --bcm auto.")
    named = where.access.certificate
    if named and certificate.only_reads(named):
        cause = "was made for reading, and this changes something"
        raise CannotChange(
            f"certificate {named}", cause, "Name one in the site file made with: certificate --for apply"
        )
    with locked(where.lock):
        if heads.state(where.root) == heads.UNKNOWN:
            heads.require_active(where.root, where.cluster)
        yield


def _progress(args: argparse.Namespace) -> Any:
    def tell(change: Change, number: int, total: int) -> None:
        heads.require_active(args.root)  # a failover may come at any moment
        say(args, f"  [{number}/{total}] {MARKS[change.action]} {change.address}")

    return tell
