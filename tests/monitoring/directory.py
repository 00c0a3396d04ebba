"""A targets directory of a cluster that is made by hand: no BCM is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

from bcm_jobstats.bcm.entities import NODE, Cluster, GenericRole, Node, Place
from bcm_jobstats.monitoring.targets import Targets
from bcm_jobstats.stack import Stack, load_definitions, load_site

CLUSTER = "slurm"
UP = "[   UP   ]"
JOBS = {"node_exporter": 9100, "cgroup_exporter": 9306, "gpu_exporter": 9445}


def entries(host: str, cluster: str = CLUSTER, ports: Mapping[str, int] = JOBS) -> list[dict[str, Any]]:
    """The content of a target file, as design §7 has it."""
    return [
        {"targets": [f"{host}:{port}"], "labels": {"job": job, "cluster": cluster, "hostname": host}}
        for job, port in ports.items()
    ]


def content(host: str, cluster: str = CLUSTER) -> bytes:
    """The same as bytes, as a node writes them."""
    return (json.dumps(entries(host, cluster), indent=2) + "\n").encode()


def cluster_of(carriers: int, idle: int = 0, **more: Node) -> Cluster:
    """Nodes n1, n2, ... with our role, and `idle` ones i1, i2, ... without."""
    names = [f"n{number}" for number in range(1, carriers + 1)]
    nodes = {name: Node(name, "PhysicalNode", "dgx", status=UP) for name in names}
    nodes.update({f"i{number}": Node(f"i{number}", "PhysicalNode", status=UP) for number in range(1, idle + 1)})
    role = GenericRole("generic::jobstats")
    places = [Place(NODE, name) for name in names]
    return Cluster(
        "10.0", {}, {}, {**nodes, **more}, {}, {},
        roles=dict.fromkeys(places, (role.name, "slurmclient")),
        generic={where: {role.name: role} for where in places},
    )  # fmt: skip


class Registered:
    """The directory, and the product's view on it."""

    def __init__(self, root: Path, cluster: Cluster, site: str = "{}", uid: Optional[int] = None) -> None:
        """`uid` is the exporters' user; unless given, whoever runs this: only root can give a directory to others."""
        self.cluster = cluster
        self.path = root / "shared/targets"
        self.staging = root / "shared/.prometheus-targets.tmp"
        for folder in (self.path, self.staging):
            folder.mkdir(parents=True)
            folder.chmod(0o755)
        file = root / "site.yaml"
        file.write_text(site)
        definitions = load_definitions()
        loaded = load_site(file, definitions)
        user = replace(loaded.user, uid=self.path.stat().st_uid if uid is None else uid)
        self.targets = Targets(Stack(replace(loaded, user=user), definitions), self.path, cluster.nodes.keys())

    def write(self, name: str, text: bytes) -> Path:
        """A file as somebody else writes it."""
        (self.path / name).write_bytes(text)
        return self.path / name

    def register(self, *hosts: str) -> None:
        """What nodes write."""
        for host in hosts:
            self.write(f"{host}.json", content(host))
