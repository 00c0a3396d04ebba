"""Every software image: the categories and nodes that use it, what of ours is in it, and what it was built for."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import PurePosixPath

from bcm_jobstats.checks.imagelist import Built, Content, Row, rows
from bcm_jobstats.cli import common
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.site.noderange import fold

HEAD = ["image", "path", "categories", "nodes", "of ours", "built"]


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(args: argparse.Namespace) -> ExitStatus:
    """Print the table."""
    where = common.deployment(args, lenient=True)
    with common.busy(args, "Reading the cluster"):
        cluster = where.bcm.read()
    found = list(rows(cluster, where.records.all(), where.root))
    lines = [_line(row) for row in found]
    common.put(args, [_document(row) for row in found], common.table(HEAD, lines))
    return ExitStatus.OK


def _document(row: Row) -> dict[str, object]:
    return {**asdict(row), "node_range": fold(row.nodes)}


def _line(row: Row) -> list[str]:
    nodes = f"{len(row.nodes)}: {fold(row.nodes)}" if row.nodes else "none"
    built = "; ".join(_built(row, one) for one in row.built)
    return [row.image, row.path, ", ".join(row.categories) or "none", nodes, _content(row.content), built or "-"]


def _content(content: Content) -> str:
    return content.problem or ", ".join(_parts(content)) or "nothing"


def _parts(content: Content) -> Iterator[str]:
    if content.files:
        yield f"{content.files} file{'s' * (content.files > 1)}"
    yield from (f"{PurePosixPath(path).name} {version}".strip() for path, version in content.programs.items())
    yield from (f"package {name} {version}".strip() for name, version in content.packages.items())


def _built(row: Row, built: Built) -> str:
    if row.image != built.image:
        return f"was {built.category}'s before {built.image}"
    origin = "in place" if built.source == built.image else f"from {built.source}"
    nodes = f", {built.verified} of {built.nodes} nodes verified" if built.nodes else ""
    return f"for {built.category} {origin}: {built.stage}{nodes}"
