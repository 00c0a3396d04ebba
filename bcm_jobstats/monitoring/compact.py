"""All registrations in one file, for Prometheus of a large cluster.

It reads every file of a glob at each event in their directory: 1,000 new files cost it 15 s of CPU, growing with the
square; one file with 5,000 groups costs 0.2 s (design §7). So the files of nodes are registrations, and this is what
it reads from some hundred nodes on. `targets serve` answers with the same text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from bcm_jobstats.monitoring import writing
from bcm_jobstats.monitoring.registry import Group, within

MANY = 300
"""Nodes from which on the one file is recommended: 127 files cost Prometheus 1.3 s of CPU, 1,000 cost 15 s."""


def beside(directory: str, cluster: str) -> str:
    """The path of a cluster's one file: outside of the directory, whose glob would read it too. Each cluster that
    shares the directory has its own, for its own Prometheus, so that none takes away what another one reads."""
    return str(PurePosixPath(directory).with_name(f"{PurePosixPath(directory).name}.{cluster}.compact.json"))


def text(groups: Iterable[Group]) -> bytes:
    """The groups as Prometheus takes them in a file and over HTTP: one for each set of labels, a line each, sorted."""
    merged: dict[tuple[tuple[str, str], ...], set[str]] = {}
    for group in groups:
        merged.setdefault(tuple(sorted(group.labels.items())), set()).update(group.targets)
    lines = [
        json.dumps({"targets": sorted(targets), "labels": dict(labels)}, ensure_ascii=False)
        for labels, targets in sorted(merged.items())
        if targets
    ]
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode() if lines else b"[]\n"


def written(file: Path, content: bytes, staging: Path) -> bool:
    """Have the file hold that; False when it did. Raises NotWritten, StorageHangs."""

    def work() -> bool:
        try:
            if file.read_bytes() == content:
                return False
        except FileNotFoundError:
            pass
        writing.put(file, content, staging)
        return True

    return within(file, work)
