"""Print what `image build` does as commands to review and run by hand: a batch for cmsh and a shell script.

Nothing is changed; programs are brought to /var/lib/bcm-jobstats/artifacts, where the script takes them from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bcm_jobstats import imageplan
from bcm_jobstats.cli import common
from bcm_jobstats.cli.image import plan as shown
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.imaging import recipe_text
from bcm_jobstats.imaging.manifest import write_atomically
from bcm_jobstats.plan.apply import refuse


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    shown.arguments(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="write recipe.cmsh and recipe.sh there")


def run(args: argparse.Namespace) -> ExitStatus:
    """Print, or write."""
    where = shown.deployment(args)
    with common.busy(args, "Reading the cluster"):
        ordered = shown.ordered_by(args, where)
        image = shown.tree(where, ordered)
        plan = shown.planned(args, where, ordered, image)
    refuse(plan)
    nodes = [node.name for node in where.cluster.nodes.values() if node.category == args.category and not node.is_head]
    texts = {
        recipe_text.CMSH: recipe_text.cmsh_text(ordered, sorted(nodes)),
        recipe_text.SHELL: recipe_text.shell_text(ordered, plan, imageplan.image_providers(where, image), image.shown),
    }
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            # For nobody else to read: an image may have files that only root may read.
            write_atomically(args.out / name, text.encode("utf-8", "surrogateescape"), 0o600)
        written = [str(args.out / name) for name in texts]
        common.put(args, {"written": written}, "\n".join(written))
        return ExitStatus.OK
    common.put(args, texts, "\n".join(f"==> {name}\n{text}" for name, text in texts.items()))
    return ExitStatus.OK
