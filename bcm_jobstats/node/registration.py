"""The files with which this node registers for Prometheus: names and bytes as in stack/targets.py (peers A4 4.10)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bcm_jobstats.node.config import Exporter


def file_names(host: str, exporters: Sequence[Exporter]) -> list[str]:
    """One name for each suffix, sorted."""
    return sorted({f"{host}{exporter.suffix}.json" for exporter in exporters})


def files(host: str, cluster: str, exporters: Sequence[Exporter]) -> dict[str, bytes]:
    """Name -> content."""
    return {name: _content(host, cluster, exporters, name) for name in file_names(host, exporters)}


def _content(host: str, cluster: str, exporters: Sequence[Exporter], name: str) -> bytes:
    groups = [
        {
            "targets": [f"{host}:{exporter.port}"],
            "labels": {"job": exporter.job, "cluster": cluster, "hostname": host},
        }
        for exporter in exporters
        if f"{host}{exporter.suffix}.json" == name
    ]
    return (json.dumps(groups, indent=2) + "\n").encode()
