"""A stand-in exporter's page, taken in the test's process, over a node's files in a directory."""

from __future__ import annotations

import re
import time
from pathlib import Path

from bcm_jobstats.simulator.standin_exporters.server import metrics


def lay(root: Path, files: dict[str, str]) -> None:
    """Write the texts to the paths below `root`."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def page(kind: str, root: object = "", *flags: str, **options: str) -> list[str]:
    """The lines of one scrape of the exporter with these flags on the node whose files lie under `root`."""
    given = {"simulated-root": str(root), **dict.fromkeys(flags, "")}
    given.update({name.replace("_", "-"): value for name, value in options.items()})
    return metrics(kind, given, time.time()).splitlines()


def series(lines: list[str], name: str) -> list[str]:
    return [line for line in lines if re.match(rf"{name}[{{ ]", line)]


def values(lines: list[str], name: str) -> dict[tuple[str, ...], float]:
    """The values of a family by its label values."""
    found = {}
    for line in series(lines, name):
        labels, _, value = line.rpartition(" ")
        found[tuple(re.findall(r'="([^"]*)"', labels))] = float(value)
    return found


def labels(line: str) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', line))
