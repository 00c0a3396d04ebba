"""Answer what only a real head node can tell about BCM, read-only, and save a transcript without names and secrets.

What has to be tried is tried in cmsh sessions that drop it again. `simulator start --profile FILE` replays it.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path

from bcm_jobstats.checks import contract
from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    place = f"/{contract.SAVED}"
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"where the transcript goes (default: {place})")
    what = "also try what only a change can tell, on an overlay that BCM ignores and that is removed again"
    parser.add_argument("--try", dest="trying", action="store_true", help=what)


def run(args: argparse.Namespace) -> ExitStatus:
    """Ask, save, print."""
    where = common.deployment(args, lenient=True)
    prober = contract.prober(where)
    told = {}
    with common.exclusively(where) if args.trying else nullcontext():
        for capability, answer in contract.asked(prober, trying=args.trying):
            told[capability] = answer
            common.say(args, f"  {capability.name}: {answer.answer}")
    file = args.out or where.root / contract.SAVED
    contract.save(file, prober, told)
    document = [{"name": c.name, "question": c.question, "assumed": c.default, **vars(a)} for c, a in told.items()]
    rows = [[c.question, a.answer, a.evidence[:80]] for c, a in told.items()]
    common.put(args, document, common.table(["question", "answer", "evidence"], rows))
    common.say(args, f"The transcript is in {file}.")
    return ExitStatus.OK
