"""enable.mode role-monitor on the simulated BCM: there and back from every other mode; what status and doctor tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.bcm.entities import CATEGORY, Category, Cluster, Node, Place, SoftwareImage
from bcm_jobstats.enable import commands, monitor
from bcm_jobstats.enable.places import placements
from bcm_jobstats.imaging import contents
from bcm_jobstats.simulator import Simulator
from bcm_jobstats.stack import Stack, agent, load_definitions, load_site
from tests.harness import Snapshot, cluster, cmsh, run, snapshot

GENERIC, SERVICES, MONITOR = "generic-role", "services", "role-monitor"
EXPORTERS = "exporters: {cgroup_exporter: {enabled: false}, nvidia_gpu_exporter: {enabled: false}}\n"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A cluster with the agents' certificate."""
    with cluster(tmp_path_factory.mktemp("monitor") / "head") as started:
        write(started, MONITOR)
        made = run(started.directory, "certificate", "--for", "role-monitor", "-q")
        assert made.status == 0, made.err
        yield started


def write(simulator: Simulator, mode: str, more: str = "") -> None:
    address = (simulator.directory / "cmd/https").read_text().strip()
    site = simulator.directory / "etc/bcm-jobstats/site.yaml"
    site.parent.mkdir(parents=True, exist_ok=True)
    site.write_text(f"enable: {{mode: {mode}}}\nbcm: {{address: '{address}'}}\n{EXPORTERS}{more}")


def done(simulator: Simulator, *words: str) -> Snapshot:
    """The cluster after a command that has to succeed, where nothing is left to do."""
    outcome = run(simulator.directory, *words, "--yes", "-q")
    assert outcome.status == 0, outcome.err
    return snapshot(simulator.directory)


def applied(simulator: Simulator, mode: str) -> Snapshot:
    write(simulator, mode)
    after = done(simulator, "apply")
    assert run(simulator.directory, "plan", "--detailed-exitcode").status == 0
    return after


def test_every_mode_is_left_without_a_trace(simulator: Simulator) -> None:
    """By apply with another mode, by rollback, and by destroy; the certificate stays, and destroy says so."""
    before = snapshot(simulator.directory)
    fresh = {}
    for mode in (GENERIC, SERVICES, MONITOR):
        fresh[mode] = applied(simulator, mode)
        assert done(simulator, "destroy") == before, mode
    assert applied(simulator, GENERIC) == fresh[GENERIC]
    for mode in (MONITOR, SERVICES, MONITOR, GENERIC):
        assert applied(simulator, mode) == fresh[mode], mode
    assert done(simulator, "rollback") == fresh[MONITOR]
    assert "with the agents' certificate" in run(simulator.directory, "destroy", "--yes").out
    assert snapshot(simulator.directory) == before


@pytest.fixture(scope="module")
def monitored(simulator: Simulator) -> Iterator[Simulator]:
    applied(simulator, MONITOR)
    yield simulator
    done(simulator, "destroy")


IMAGES = {name: SoftwareImage(name, f"/cm/images/{name}") for name in ("dgx", "own", "login")}
CATEGORIES = {"dgx": Category("dgx", "dgx"), "spare": Category("spare", "dgx"), "login": Category("login", "login")}
NODES = [
    Node("head", "HeadNode"),
    Node("n1", "PhysicalNode", "dgx"),
    Node("n2", "PhysicalNode", "login", image="dgx"),
    Node("n3", "PhysicalNode", "dgx", image="own"),
    Node("n4", "PhysicalNode", "", image="dgx"),
    Node("n5", "PhysicalNode", "login"),
]
SLURM = Place(CATEGORY, "dgx")


@pytest.mark.parametrize(
    ("more", "unseen", "services"),
    [
        ("", (), {"category/dgx", "category/spare", "node/n2", "node/n4"}),
        ("images: [login]\n", (), {"category/dgx", "category/spare", "category/login", "node/n4"}),
        ("", (Place(CATEGORY, "spare"),), {"category/dgx", "node/n2", "node/n4"}),
    ],
    ids=["by role", "by name", "a category that cannot be named to cmsh"],
)
def test_the_agent_is_where_images_have_its_files(
    tmp_path: Path, more: str, unseen: tuple[Place, ...], services: set[str]
) -> None:
    """Not by node, but where a node has such an image of its own; an image that got none is told."""
    nodes = {node.name: node for node in NODES}
    there = Cluster("10", {}, CATEGORIES, nodes, IMAGES, {}, roles={SLURM: ("slurmclient",)}, unseen=unseen)
    site, definitions = tmp_path / "site.yaml", load_definitions()
    site.write_text("enable: {mode: role-monitor}\n" + more)
    stack = Stack(load_site(site, definitions), definitions)
    placed = placements(stack.site, stack.roles(), there)
    wanted = contents.of_images(stack, placed, there)
    assert "own" in wanted, "n3 has the role"
    wanted.pop("own")  # as when an image is left alone for a rollout
    found = {one.name.rpartition("/")[0] for one in monitor.agents(stack, wanted, there)}
    assert found == services
    notes = "\n".join(monitor.notes(stack, placed, wanted, there, tmp_path))
    assert "follow BCM's role slurmclient" in notes
    assert "n3: an image of its own without the files" in notes
    assert ("login: no node of it has slurmclient" in notes) == ("login" not in more)


def test_the_commands_in_cmsh_list_the_nodes_with_the_followed_role(tmp_path: Path) -> None:
    site, definitions = tmp_path / "site.yaml", load_definitions()
    site.write_text("enable: {mode: role-monitor}\nroles: {jobstats: , dcgm-exporter: }\n")
    text = commands.files(Stack(load_site(site, definitions), definitions))["jobstats-status.cmsh"]
    assert text.splitlines()[1:] == ["device foreach -l slurmclient (get hostname; services; status)"]


def rows(simulator: Simulator) -> dict[str, Any]:
    told = run(simulator.directory, "status", "--no-prometheus", "--json").out
    return {row["node"]: row for row in json.loads(told)}


def test_status_is_about_the_nodes_with_the_followed_role(monitored: Simulator) -> None:
    """Also those whose agent does not run, and whose target is still there; not head nodes, which have no agent."""
    cmsh(monitored, "device; use bcm-head; roles; assign slurmclient; set wlmcluster slurm; commit")
    targets = monitored.directory / "cm/shared/apps/jobstats/prometheus-targets"
    group = {"targets": ["login-01:9100"], "labels": {"job": "x", "cluster": "slurm", "hostname": "login-01"}}
    (targets / "login-01.json").write_text(json.dumps([group]))
    found = rows(monitored)
    (targets / "login-01.json").unlink()
    cmsh(monitored, "device; use bcm-head; roles; unassign slurmclient; commit")
    assert sorted(found) == ["dgx-01", "dgx-02", "dgx-03", "dgx-04", "login-01"]
    assert set(found["dgx-01"]["services"]) == {agent.SERVICE}
    assert [found[node]["target"] for node in ("dgx-01", "login-01")] == [False, True]
    assert not any(row["ok"] for row in found.values())


def test_doctor_says_when_bcm_does_not_tell_agents_of_the_role(tmp_path: Path) -> None:
    """Capability rest-roles; asked with the agents' own certificate."""
    for roles, status in (("effective", 0), ("own", 1)):
        with cluster(tmp_path / roles, switches={"rest_roles": roles}) as simulator:
            write(simulator, MONITOR)
            assert run(simulator.directory, "certificate", "--for", "role-monitor", "-q").status == 0
            outcome = run(simulator.directory, "doctor")
            assert outcome.status == status, outcome.out
            told = "/rest/v1/device: lists slurmclient for 0 of the 4 nodes with it, not dgx-[01-04]" in outcome.out
            assert told == bool(status)
            assert "3 checks" in outcome.out


def test_where_the_key_lies_open_it_is_told(monitored: Simulator) -> None:
    key = monitored.directory / agent.KEY.lstrip("/")
    key.chmod(0o640)
    try:
        assert "do not use it" in run(monitored.directory, "plan").out
        assert f"chmod 600 {key}" in run(monitored.directory, "doctor").out
    finally:
        key.chmod(0o600)
    assert str(key) not in run(monitored.directory, "doctor").out


def test_keys_of_seed_4_in_images_and_on_shared_storage_are_found(monitored: Simulator) -> None:
    places = [
        monitored.directory / "cm/images/dgx-image/etc/bcm-role-monitor/admin.key",
        monitored.directory / "cm/shared/apps/jobstats/other/x.key",
    ]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch(mode=0o600)
    told = run(monitored.directory, "doctor").out
    for place in places:
        place.unlink()
        assert f"{place}: is a private key where nodes can get it" in told
    places[1].parent.rmdir()


def test_the_lists_keep_state_and_keys_out_of_images(monitored: Simulator) -> None:
    """And a node's state where it is when BCM brings the node to its image; the recipe's own lines are not doubled."""
    write(monitored, MONITOR, "recipes: {dgx-h100: dgx}\n")
    assert run(monitored.directory, "plan", "--detailed-exitcode").status == 0
    names = ("excludelistupdate", "excludelistsyncinstall", "excludelistgrab", "excludelistgrabnew")
    ask = [f"category; use dgx-h100; get {name}" for name in names]
    texts = {name: process.run(monitored.cmsh, [one], 30.0).text for name, one in zip(names, ask)}
    assert all(text.count("- /var/lib/bcm-role-monitor\n") == 1 for text in texts.values())
    for name in ("excludelistgrab", "excludelistgrabnew"):
        assert "- /etc/bcm-role-monitor/*.key\n" in texts[name]
        assert "config.json" not in texts[name]
