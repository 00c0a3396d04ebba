"""What `init` proposes, from what the cluster shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.stack import Definitions

FOLLOWED = "slurmclient"
DEFAULT_ROLE = "jobstats"


def proposal(cluster: Cluster, definitions: Definitions, root: Path) -> dict[str, Any]:
    """Values for the site file: the Slurm cluster's name, where the roles go, and which exporters the images hold.

    Where nothing carries `slurmclient` the attachment is left to the administrator (`manual`).
    """
    slurm = [wlm.name for wlm in cluster.wlms.values() if wlm.type == "slurm"]
    places = cluster.places_with(FOLLOWED)
    attach: Mapping[str, Any] = {"with_role": FOLLOWED} if places else {"manual": True}
    images = {cluster.image_of(node) for where in places for node in cluster.members(where) if not node.is_head}
    trees = [root / image.path.lstrip("/") for name, image in cluster.images.items() if name in images]
    roles: dict[str, Any] = {}
    exporters: dict[str, Any] = {}
    for name, exporter in sorted(definitions.exporters.items()):
        there = all((tree / exporter.binary.lstrip("/")).exists() for tree in trees)
        if there and exporter.role not in roles:
            roles[exporter.role] = {"attach": attach}
        if not there and exporter.role == DEFAULT_ROLE:
            exporters[name] = {"enabled": False}
    values: dict[str, Any] = {"roles": roles or {DEFAULT_ROLE: {"attach": attach}}}
    if len(slurm) == 1:
        values["cluster"] = slurm[0]
    # Where an image holds none of them, `plan` says what to install.
    if exporters and DEFAULT_ROLE in roles:
        values["exporters"] = exporters
    return values
