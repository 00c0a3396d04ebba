"""List the runs that changed something."""

from __future__ import annotations

import argparse

from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(args: argparse.Namespace) -> ExitStatus:
    """Print them, oldest first."""
    generations = common.deployment(args).generations.all()
    lines, document = [], []
    for generation in generations:
        added, changed, destroyed = generation.plan.counts()
        done = "yes" if generation.finished else "no"
        what = f"+{added} ~{changed} -{destroyed}"
        lines.append([str(generation.number), generation.began, generation.plan.purpose, what, done])
        document.append(
            {
                "number": generation.number,
                "began": generation.began,
                "purpose": generation.plan.purpose,
                "added": added,
                "changed": changed,
                "destroyed": destroyed,
                "finished": generation.finished,
            }
        )
    head = ["generation", "began (UTC)", "purpose", "changes", "finished"]
    common.put(args, document, common.table(head, lines) if lines else "No run has changed anything yet.")
    return ExitStatus.OK
