"""The rows of the performance table about software images: how often BCM is asked, by number of nodes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bcm_jobstats.bcm.cmsh import process
from tests.harness import cluster, run
from tests.imaging.papers import answering

SIZES = (4, 400, 4000)
CATEGORY = "dgx-h100"
TARGET = "constant but for waves"
Row = tuple[str, str, str, str]


def rows(directory: Path) -> Iterator[Row]:
    """Build, roll out in waves of a tenth, and go back, on paper nodes: cmsh processes and image operations of each."""
    for nodes in SIZES:
        print(f"Image work with {nodes} nodes", file=sys.stderr, flush=True)
        with cluster(directory / f"images-{nodes}", nodes=nodes, logins=0) as simulator, answering(simulator):
            site = simulator.directory / "etc/bcm-jobstats/site.yaml"
            site.parent.mkdir(parents=True)
            site.write_text("roles: {jobstats: {attach: {with_role: slurmclient}}}\n")
            for words in (("build",), ("rollout", "--wave", "10%", "--settle", "0s"), ("rollback",)):
                with counted() as scripts:
                    outcome = run(simulator.directory, "image", words[0], CATEGORY, *words[1:], "--yes", "-q")
                assert outcome.status == 0, outcome.err
                yield _row(f"image {words[0]}, {nodes} nodes", scripts)


def _row(what: str, scripts: list[list[str]]) -> Row:
    """Image operations are what CMDaemon copies: clones, and imageupdates whatever the number of nodes in each."""
    said = [command for script in scripts for command in script]
    clones = sum(command.startswith("clone ") for command in said)
    updates = sum("imageupdate " in command for command in said)
    told = f"{len(scripts)} cmsh calls; clones: {clones}; imageupdates: {updates}"
    return what, told, TARGET, "the seeds: 35 + about 12 ssh commands for each node"


@contextmanager
def counted() -> Iterator[list[list[str]]]:
    """The scripts that are sent to cmsh meanwhile."""
    scripts: list[list[str]] = []
    real = process.run

    def counting(cmsh: Path, script: list[str], *args: Any, **options: Any) -> process.Answer:
        scripts.append(list(script))
        return real(cmsh, script, *args, **options)

    process.run = counting  # type: ignore[assignment]
    try:
        yield scripts
    finally:
        process.run = real
