"""What CMDaemon does by itself, as far as plans depend on it: the product's reckoning against the simulator's."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bcm_jobstats.bcm.entities import (
    CATEGORY,
    NODE,
    OVERLAY,
    Category,
    Cluster,
    GenericRole,
    Node,
    Overlay,
    Place,
    WlmCluster,
)
from bcm_jobstats.enable.proposal import proposal
from bcm_jobstats.enable.walkthrough import walkthrough
from bcm_jobstats.monitoring.targets import carriers_of
from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.stack import Stack, load, load_definitions

ROLE = "generic::jobstats"
NODES = {
    "bcm-head": Node("bcm-head", "HeadNode"),
    **{f"dgx-0{number}": Node(f"dgx-0{number}", "PhysicalNode", "dgx-h100") for number in range(1, 5)},
    "login-01": Node("login-01", "PhysicalNode", "login"),
}
IMAGES = {"default": "default-image", "dgx-h100": "dgx-image", "login": "login-image"}


def cluster(overlay: Overlay) -> Cluster:
    """What the product would read of the simulator's cluster with that overlay and the role in it."""
    categories = {name: Category(name, image) for name, image in IMAGES.items()}
    where = Place(OVERLAY, overlay.name)
    return Cluster(
        "11.0", {overlay.name: overlay}, categories, NODES, {}, {}, {where: (ROLE,)}, {where: {ROLE: GenericRole(ROLE)}}
    )


MEMBERS = {
    "nodes": Overlay("o", nodes=("dgx-01", "login-01")),
    "categories": Overlay("o", categories=("dgx-h100",)),
    "head nodes": Overlay("o", all_head_nodes=True),
    "all of them": Overlay("o", 510, True, ("dgx-01", "login-01"), ("dgx-h100",)),
    "ignored": Overlay("o", -1, True, ("dgx-01",), ("login",)),
    "none": Overlay("o"),
}


@pytest.mark.parametrize("overlay", MEMBERS.values(), ids=MEMBERS)
def test_an_overlays_nodes_are_those_that_get_its_role(tmp_path: Path, overlay: Overlay) -> None:
    """bcm-facts §2: nodes, categories and head nodes are united; -1 is ignored; §1.6: `foreach -l` lists them."""
    simulated = InProcess(tmp_path)
    try:
        lists = {"nodes": overlay.nodes, "categories": overlay.categories}
        given = "; ".join(f"set {name} {' '.join(values)}" for name, values in lists.items() if values)
        heads = "yes" if overlay.all_head_nodes else "no"
        said = simulated.run(
            f"configurationoverlay; add o; set priority {overlay.priority}; set allheadnodes {heads}; "
            f"{given + '; ' if given else ''}roles; assign {ROLE}; commit; home"
        )
        assert said == ""
        listed = set(simulated.cmsh("-c", f"device; foreach -l {ROLE} (get hostname)").out.split("\n")) & set(NODES)
    finally:
        simulated.close()
    assert carriers_of(cluster(overlay), ROLE, "jobstats-target") == listed
    if overlay.priority > 0:
        assert {node.name for node in cluster(overlay).members(Place(OVERLAY, "o"))} == listed


@pytest.mark.parametrize("name", ["slurmclient", "SlurmClient", "SLURMCLIENT"])
def test_role_names_are_compared_without_case(name: str) -> None:
    """bcm-facts §1.7: `Etcd::Host` in one table, `etcd::host` in another."""
    where = Place(CATEGORY, "c")
    found = Cluster("11.0", {}, {}, {}, {}, {}, {where: (name,)})
    assert found.places_with("slurmclient") == found.places_with("SlurmClient") == [where]


def test_a_nodes_own_image_goes_before_its_categorys() -> None:
    """bcm-facts §6: node softwareimage overrides category's; head nodes have none."""
    found = cluster(Overlay("o"))
    assert found.image_of(Node("n", "PhysicalNode", "login")) == "login-image"
    assert found.image_of(Node("n", "PhysicalNode", "login", "own-image")) == "own-image"
    assert found.image_of(NODES["bcm-head"]) is None


STATUSES = {
    "UP": True,
    "UP restart-required, health check failed": True,
    "DOWN": False,
    "DOWN (hostname changed) restart-required": False,
    "CLOSED": False,
    "DOWN/CLOSED": False,
    "INSTALLER_CALLINGINIT": False,
    "": False,
}


@pytest.mark.parametrize("status", STATUSES)
def test_a_node_is_up_when_its_state_says_so(status: str) -> None:
    """bcm-facts §1.7: states, and what is printed behind them."""
    assert Node("n", "PhysicalNode", "c", "", status).is_up == STATUSES[status]


NOT_CAPTURED = (
    *("/home", "/tmp", "/run", "/proc", "/sys", "/data", "/local", "/scratch", "/var/log", "/var/tmp", "/var/spool"),
    *("/cm/images", "/cm/shared", "/cm/node-installer", "/cm/local/apps/cmd/etc", "/etc/resolv.conf", "/etc/hostname"),
    *("/var/lib/dhclient", "/var/lib/ldap", "/var/lib/nfs", "/var/lib/sss", "/var/lib/mlocate", "/root/.bash_history"),
    *("/etc/systemd/system/multi-user.target.wants",),
)
"""Of the default exclude lists of a BCM 11: sync, update and grab, the longest common beginnings."""


@pytest.fixture
def everything(tmp_path: Path) -> Stack:
    """Both roles, with all that is shipped."""
    (tmp_path / "site.yaml").write_text("roles: {jobstats: {}, dcgm-exporter: {}}\n")
    return Stack(*load(tmp_path / "site.yaml", tmp_path))


def test_no_file_of_ours_is_on_an_exclude_list(everything: Stack) -> None:
    """bcm-facts §6: what is excluded by default would neither reach the nodes nor be taken away from them."""
    roles = [role.name for role in everything.roles()]
    files = [file.path for file in everything.payload(roles)]
    assert len(roles) == 2 and len(files) > 5
    assert [path for path in files if path.startswith(tuple(f"{start}/" for start in NOT_CAPTURED))] == []
    assert not set(files) & set(NOT_CAPTURED)


def test_every_service_is_a_unit_of_that_name_that_nothing_enables(everything: Stack) -> None:
    """bcm-facts §3.3: the service's name is the unit's without `.service`; BCM starts and stops it and does not
    `systemctl enable`, so the unit has no [Install] section and comes with the image."""
    for role in everything.roles():
        files = {file.path: file.content.decode() for file in everything.payload([role.name])}
        for service in role.services:
            unit = files[f"/etc/systemd/system/{service}.service"]
            assert not re.search(r"^\[Install\]", unit, re.MULTILINE), service


def test_what_nodes_register_lies_on_shared_storage(everything: Stack) -> None:
    """bcm-facts §9 and §10: /cm/shared is what heads and nodes have in common; no file of a head's own is."""
    assert all(folder.startswith("/cm/shared/") for folder in everything.shared_folders())


STEPS = {
    (OVERLAY, "10.0"): "Configuration Overlays > x > Edit > Roles > ADD",
    (OVERLAY, "11.0"): "Configuration Overlays > x > Edit > Roles > ADD",
    (CATEGORY, "10.0"): "Grouping > Categories > x > Edit > Settings > Roles > Add",
    (NODE, "10.0"): "Devices > x > Edit > Settings > Role > Role list > ADD",
    (NODE, "11.0"): "Devices > Nodes > x > Settings > JUMP TO > Roles",
}


@pytest.mark.parametrize(("where", "steps"), STEPS.items(), ids=lambda told: " ".join(told)[:20])
def test_base_view_is_walked_through_as_the_manual_says(where: tuple[str, str], steps: str) -> None:
    """bcm-facts §2: where Base View has the roles of an overlay, a category, a node."""
    kind, version = where
    assert f"  1. {steps}\n" in walkthrough(Place(kind, "x"), ROLE, version)


def test_the_slurm_clusters_name_is_proposed(tmp_path: Path) -> None:
    """bcm-facts §5.2: nothing but the name of the wlm cluster is shown in Slurm's paths; §3.1: slurmclient."""
    found = replace(
        cluster(Overlay("slurm-client", categories=("dgx-h100",))),
        wlms={"slurm1": WlmCluster("slurm1", "slurm"), "pbs": WlmCluster("pbs", "openpbs")},
        roles={Place(OVERLAY, "slurm-client"): ("SlurmClient",)},
    )
    told = proposal(found, load_definitions(), tmp_path)
    assert told["cluster"] == "slurm1"
    assert told["roles"]["jobstats"] == {"attach": {"with_role": "slurmclient"}}
