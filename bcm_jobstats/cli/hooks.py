"""The hooks of Slurm: which software image has them and what runs beside them, or what a script says as it is deployed.

list: exit status 1 when an image does not have a hook that it should have, or not as it should be.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from bcm_jobstats.cli import common
from bcm_jobstats.cli.main import BadUsage
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.imaging import hooks as found_hooks
from bcm_jobstats.imaging import payload
from bcm_jobstats.imaging.hooks import HookLink, Order
from bcm_jobstats.stack import hooks

NAMES = (*hooks.of(hooks.NAMES), "gpu-sweep")


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument(
        "action", nargs="?", default="list", choices=("list", "show"), help="list, the default, or show"
    )
    parser.add_argument("name", nargs="?", choices=NAMES, help="show: which script, of " + ", ".join(NAMES))


def run(args: argparse.Namespace) -> ExitStatus:
    """List or show."""
    return _show(args) if args.action == "show" else _list(args)


def _show(args: argparse.Namespace) -> ExitStatus:
    if not args.name:
        raise BadUsage("hooks show", "no script is named", "Name one of: " + ", ".join(NAMES))
    site = common.deployment(args).stack.site
    file = args.name if args.name == "gpu-sweep" else f"{args.name}.sh"
    text = hooks.text(site, file).decode()
    common.put(args, {"name": args.name, "text": text}, text)
    return ExitStatus.OK


def _list(args: argparse.Namespace) -> ExitStatus:
    where = common.deployment(args)
    with common.busy(args, "Reading the cluster"):
        cluster = where.cluster
        trees = payload.image_trees(cluster, where.root)
        roles = payload.roles_by_image(where.stack, where.placed(), cluster)
    found = list(found_hooks.links(where.stack, roles, trees, where.root, cluster.version))
    orders = list(found_hooks.orders(found, trees))
    document = {"links": [{**asdict(one), "ok": one.ok} for one in found], "orders": [asdict(one) for one in orders]}
    common.put(args, document, _text(found, orders) if found else "No image has or needs a hook.")
    for order in orders:
        if order.before:
            common.say(
                args,
                f"{order.image}: {', '.join(order.before)} in {order.folder} run before ours: "
                "when one of them fails, BCM runs none behind it",
            )
    return ExitStatus.OK if all(one.ok for one in found) else ExitStatus.FAILED


def _text(found: Sequence[HookLink], orders: Sequence[Order]) -> str:
    lines = [[one.image, one.hook, one.state, one.target or "-"] for one in found]
    order = [[one.image, one.folder, " ".join(one.scripts)] for one in orders]
    return (
        common.table(["image", "hook", "link", "points to"], lines)
        + "\n\n"
        + common.table(["image", "folder", "runs, in this order"], order)
    )
