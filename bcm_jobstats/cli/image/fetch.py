"""On a connected machine: get all artifacts of the site file into one file, for `image build --bundle` on head nodes
without a network. Needs no BCM and no cluster, only the site file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Optional

from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.imaging import fetch
from bcm_jobstats.imaging.bundle import Entry
from bcm_jobstats.imaging.fetch import Wanted
from bcm_jobstats.site.artifacts import ARCHITECTURES, Artifact
from bcm_jobstats.stack import Stack
from bcm_jobstats.stack.upstream import completed

BUNDLE = "bcm-jobstats-bundle.tar"
_MEBI = 1 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument(
        "--out", type=Path, default=Path(BUNDLE), metavar="FILE",
        help=f"the bundle (default: {BUNDLE}); what is in it already is not fetched again",
    )  # fmt: skip
    parser.add_argument(
        "--arch", choices=ARCHITECTURES, help="only for this processor (default: all that the site file names)"
    )


def run(args: argparse.Namespace) -> ExitStatus:
    """Make the bundle and tell what is in it."""
    files = list(fetch.wanted(_artifacts(common.deployment(args).stack), args.arch))
    bundled = [one for one in files if one.supply.kind == "source" or one.supply.local]
    entries = fetch.Fetcher(args.out, args.root, _Progress(args).tell).fetch(bundled) if bundled else []
    by_file = {(entry.name, entry.architecture): entry for entry in entries}
    lines = [_line(one, by_file.get((one.name, one.architecture))) for one in files]
    document = {"bundle": str(args.out), "artifacts": [asdict(entry) for entry in entries]}
    head = ["artifact", "version", "processor", "from", "bytes", "sha256"]
    common.put(args, document, common.table(head, lines) if lines else "The site file names no artifacts.")
    _advise(args, files, entries)
    return ExitStatus.OK


def _artifacts(stack: Stack) -> Mapping[str, Artifact]:
    """The site's artifacts with what the exporters' definitions know of their projects' releases."""
    known = stack.definitions.exporters
    return {
        name: completed(artifact, known[name].upstream) if name in known else artifact
        for name, artifact in stack.site.artifacts.items()
    }


def _line(one: Wanted, entry: Optional[Entry]) -> list[str]:
    if entry is None:
        origin = f"package {one.supply.package} of the image's own repositories"
        return [one.name, one.version, one.architecture, origin, "-", "-"]
    return [one.name, one.version, one.architecture, entry.origin, str(entry.size), entry.sha256]


def _advise(args: argparse.Namespace, files: Sequence[Wanted], entries: Sequence[Entry]) -> None:
    unchecked = {(one.name, one.architecture) for one in files if one.supply.unchecked}
    for entry in entries:
        if (entry.name, entry.architecture) in unchecked:
            where = f"artifacts.{entry.name}.{entry.architecture}"
            common.say(args, f"{where} is unchecked. If this is its publisher's sum, set sha256: {entry.sha256}")


class _Progress:
    """A line for each file on the terminal, with the bytes so far where it can be overwritten."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.live = not args.quiet and sys.stderr.isatty()
        self.shown = ""

    def tell(self, subject: str, done: int, size: Optional[int]) -> None:
        """See fetch.Progress."""
        if self.live:
            of = f" of {size / _MEBI:.1f}" if size else ""
            end = "\n" if done == size else ""
            print(f"\r\033[K  {subject}: {done / _MEBI:.1f}{of} MiB", end=end, file=sys.stderr, flush=True)
        elif subject != self.shown:
            common.say(self.args, f"  {subject}: {f'{size} bytes' if size else 'size not told'}")
        self.shown = subject
