"""The files with which this node registers for Prometheus: names and bytes as in stack/targets.py (peers A4 4.10)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Optional

from bcm_jobstats.node.config import Exporter

LARGEST = 1 << 16
"""Bytes of what can be a node's target file, which has a few hundred."""


def clusters(content: Optional[bytes]) -> set[str]:
    """The labels `cluster` in a target file; what is none, damaged or missing has none."""
    if not content or len(content) > LARGEST:
        return set()
    try:
        groups = json.loads(content)
    except (ValueError, RecursionError):
        return set()
    found = [group.get("labels") for group in groups if isinstance(group, dict)] if isinstance(groups, list) else []
    labels = [labels.get("cluster") for labels in found if isinstance(labels, dict)]
    return {label for label in labels if isinstance(label, str)}


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
