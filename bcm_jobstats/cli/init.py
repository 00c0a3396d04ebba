"""Look at the cluster, read-only, and write a commented site file."""

from __future__ import annotations

import argparse
from pathlib import Path

from bcm_jobstats.bcm.choice import Access, choose
from bcm_jobstats.cli import common
from bcm_jobstats.enable.proposal import FOLLOWED, proposal
from bcm_jobstats.errors import ExitStatus, JobstatsError
from bcm_jobstats.site import Site, template
from bcm_jobstats.stack import OWN, load_definitions


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("--force", action="store_true", help="replace a site file that is there")


def run(args: argparse.Namespace) -> ExitStatus:
    """Write the file, never over one that is there."""
    if args.site.exists() and not args.force:
        raise JobstatsError(str(args.site), "is there already", "Edit it, or write a new one with: init --force")
    bcm = Site().bcm  # there is no site file yet that could say how BCM is reached
    access = Access(args.root, bcm.timeout.seconds, bcm.address, args.root / bcm.ca.lstrip("/"))
    cluster = choose(args.bcm, access).bcm.read([FOLLOWED])
    values = proposal(cluster, load_definitions([args.root / OWN]), args.root)
    _write(args.site, template(values))
    places = ", ".join(str(where) for where in cluster.places_with(FOLLOWED)) or "nothing"
    common.say(args, f"BCM {cluster.version}: {len(cluster.nodes)} nodes; {FOLLOWED} is carried by {places}.")
    common.put(
        args, {"site": str(args.site), "values": values}, f"Wrote {args.site}. Look at it, then run: bcm-jobstats plan"
    )
    return ExitStatus.OK


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise JobstatsError(
            str(path), f"cannot be written: {error.strerror}", "Give another place with --site FILE."
        ) from error
