"""The files with which nodes register for Prometheus (design §7, peers A4 4.10): one per node and role."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.site import words
from bcm_jobstats.stack.definitions import Exporter

PLACEHOLDER = "@HOST@"
"""What scripts/jobstats-target replaces with the node's name; '@' is in no host name and no label of ours."""

STAGING = ".prometheus-targets.tmp"
"""The folder of unfinished files, next to that of the targets; scripts/jobstats-target knows it by the same name."""


def template(cluster: str, exporters: Sequence[Exporter]) -> bytes:
    """The target file of a role with a placeholder for the host."""
    entries = [
        {
            "targets": [f"{PLACEHOLDER}:{exporter.port}"],
            "labels": {"job": exporter.label, "cluster": cluster, "hostname": PLACEHOLDER},
        }
        for exporter in exporters
    ]
    return (json.dumps(entries, indent=2) + "\n").encode()


def fill(content: bytes, host: str) -> bytes:
    """The target file of one host."""
    return content.replace(PLACEHOLDER.encode(), host.encode())


def suffix(role: str) -> str:
    """What tells the target files of two roles apart; '+' is in no host name."""
    return "" if role == "jobstats" else f"+{role}"


def file_name(host: str, role: str) -> str:
    """The name of a host's target file for a role."""
    return f"{host}{suffix(role)}.json"


def short(host: str) -> str:
    """The host's name without its domain, the one spelling that all targets use (peers C1); JobstatsError if none."""
    name = host.split(".", 1)[0]
    if not re.fullmatch(words.HOST, name) or name == "localhost":
        raise JobstatsError(f"host {host!r}", "is not the name of a node", "letters, digits and '-', at most 63")
    return name
