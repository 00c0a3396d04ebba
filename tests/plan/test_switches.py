"""Whatever nobody could confirm about BCM, one unknown at a time and several at once (bcm-facts §13): `apply` ends in
the right state, or stops with the cluster as it was; `destroy` leaves no trace."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from bcm_jobstats.simulator import Simulator
from bcm_jobstats.simulator.switches import CHOICES
from tests.harness import BINARIES, cluster, run, snapshot

SITES = {
    "with role": "exporters: {}\n",
    "own overlay": "roles: {jobstats: {attach: {categories: [dgx-h100], nodes: [login-01]}}}\n",
    "one node": "roles: {jobstats: {attach: {nodes: [dgx-02]}}}\nbcm: {metrics: true}\n",
}
FLIPPED = [(name, value) for name, values in CHOICES.items() for value in values[1:]]
SERVICES = {"cgroup_exporter", "jobstats-target", "node_exporter", "nvidia_gpu_exporter"}
MIXTURES = int(os.environ.get("BCM_JOBSTATS_MIXTURES", "4"))
"""Of unknowns that are tried for each site."""


def applied(simulator: Simulator, site: str) -> None:
    """Apply, look, destroy; `simulator` is a fresh cluster."""
    root = simulator.directory
    for head in simulator.heads().values():
        file = head / "etc/bcm-jobstats/site.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(site)
        for image in ("dgx-image", "login-image"):
            for name in BINARIES:
                program = head / "cm/images" / image / name
                program.parent.mkdir(parents=True, exist_ok=True)
                program.touch()
    before = snapshot(root)
    outcome = run(root, "apply", "--yes", "-q")
    if outcome.status != 0:
        assert outcome.status == 1 and "bcm-jobstats: " in outcome.err
        assert run(root, "destroy", "--yes", "-q").status == 0
        assert snapshot(root) == before, outcome.err
        return
    assert run(root, "plan", "--detailed-exitcode").status == 0
    assert running(simulator), "nothing brings the services to a node"
    outcome = run(root, "destroy", "--yes", "-q")
    assert outcome.status == 0, outcome.err
    assert snapshot(root) == before


def running(simulator: Simulator) -> bool:
    """Whether a role or services of ours are somewhere in BCM, with all they should carry."""
    tables = simulator.state()
    entities = [entity for mode in ("configurationoverlay", "category", "device") for entity in tables[mode].values()]
    roles = [
        entity["children"].get("roles", {}).get("generic::jobstats") for entity in entities if "children" in entity
    ]
    services = [set(entity["children"].get("services", {})) for entity in entities if "children" in entity]
    return any(role and set(role["values"]["services"]) == SERVICES for role in roles) or any(
        found >= SERVICES for found in services
    )


@pytest.mark.parametrize(("name", "value"), FLIPPED, ids=[f"{name}={value}" for name, value in FLIPPED])
def test_one_unknown_the_other_way(tmp_path: Path, name: str, value: str) -> None:
    """bcm-facts §13; versions and sites take turns."""
    heads, number = 2 if name == "shared_storage" else 1, FLIPPED.index((name, value))
    profile, site = ("bcm10", "bcm11")[number % 2], SITES[sorted(SITES)[number // 2 % len(SITES)]]
    with cluster(tmp_path / "head", profile=profile, switches={name: value}, heads=heads) as simulator:
        applied(simulator, site)


@pytest.mark.parametrize("seed", range(MIXTURES))
@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
def test_many_unknowns_at_once(tmp_path: Path, seed: int, site: str) -> None:
    chosen = random.Random(f"{seed} {site}")
    switches = {name: chosen.choice(values) for name, values in CHOICES.items()}
    with cluster(tmp_path / "head", profile=chosen.choice(["bcm10", "bcm11"]), switches=switches) as simulator:
        applied(simulator, site)
