"""enable.mode role-monitor on the simulated BCM: there and back from every other mode; what status and doctor tell."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats import planning
from bcm_jobstats.bcm import validity
from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.bcm.entities import CATEGORY, Category, Cluster, Node, Place, Service, SoftwareImage
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.enable import commands, monitor
from bcm_jobstats.enable.marks import of_place
from bcm_jobstats.enable.places import placements
from bcm_jobstats.imaging import contents
from bcm_jobstats.plan.model import CREATE, DELETE, UPDATE, Change, Plan
from bcm_jobstats.simulator import Simulator
from bcm_jobstats.stack import Stack, agent, load_definitions, load_site
from tests.harness import Snapshot, cluster, cmsh, run, snapshot, until

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
    heads = "" if "role_monitor:" in more else "role_monitor: {heads: [127.0.0.1]}\n"
    site.write_text(f"enable: {{mode: {mode}}}\nbcm: {{address: '{address}'}}\n{EXPORTERS}{heads}{more}")


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
        write(simulator, mode)
        check_order(deployed(simulator, planning.for_apply), leaves=mode != MONITOR)
        assert applied(simulator, mode) == fresh[mode], mode
        if mode == MONITOR:
            back = deployed(simulator, lambda where: planning.for_rollback(where, None))
            check_order(back, leaves=True)
    assert done(simulator, "rollback") == fresh[MONITOR]
    assert "with the agents' certificate" in run(simulator.directory, "destroy", "--yes").out
    assert snapshot(simulator.directory) == before


def deployed(simulator: Simulator, make: Callable[[Deployment], Plan]) -> Plan:
    return make(Deployment(simulator.directory, simulator.directory / "etc/bcm-jobstats/site.yaml"))


def check_order(plan: Plan, *, leaves: bool) -> None:
    """An agent that stops withdraws the node's target: it has to be gone when another registers the node, which is done
    once, when its service starts."""
    ends = [change.address.endswith(f"/{agent.SERVICE}") and change.action == DELETE for change in plan.changes]
    assert ends == sorted(ends, reverse=True), [change.address for change in plan.changes]
    assert any(ends) == leaves
    told = [note for note in plan.notes if "bcm-jobstats-role-monitor" in note or agent.CERTIFICATES in note]
    assert len(told) == (2 if leaves else 0), plan.notes


def test_an_agent_that_moves_is_started_before_it_is_stopped() -> None:
    places = [f"service.{place}/{agent.SERVICE}" for place in ("category/dgx", "node/n1", "node/n2")]
    ends, comes, other = Change(DELETE, places[0], {}, None), Change(CREATE, places[1], None, {}), "service.node/n1/x"
    rest = [Change(CREATE, other, None, {}), Change(UPDATE, "overlay.x", {}, {})]
    assert monitor.stopped_first([comes, *rest, ends]) == (comes, *rest, ends)
    assert monitor.stopped_first([*rest, ends]) == (ends, *rest)


def test_agents_that_stay_are_not_told_as_gone(monitored: Simulator) -> None:
    """One category of two loses its agent: the certificate is still in use."""
    there = Deployment(monitored.directory, monitored.directory / "etc/bcm-jobstats/site.yaml").cluster
    ends = [Change(DELETE, f"service.category/dgx-h100/{agent.SERVICE}", {}, None)]
    assert len(list(monitor.left(monitored.directory, there, ends))) == 2
    here = Place(CATEGORY, "login")
    service = Service(agent.SERVICE, monitored=True, autostart=True, revision=of_place(here))
    more = replace(there, services={**there.services, here: {agent.SERVICE: service}})
    assert list(monitor.left(monitored.directory, more, ends)) == []


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
    site = monitored.directory / "etc/bcm-jobstats/site.yaml"
    name, content = Deployment(monitored.directory, site).stack.target_file("login-01", "jobstats")
    (targets / name).write_bytes(content)
    found = rows(monitored)
    (targets / name).unlink()
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


@pytest.mark.parametrize(
    ("asked", "severity", "told"),
    [
        ("heads: [127.0.0.1, 127.0.0.2]", "warning", "head node 127.0.0.2: "),
        ("heads: [127.0.0.1], server_name: bcm-other", "error", "head node 127.0.0.1: "),
    ],
    ids=["one of two", "a name that is not in its certificate"],
)
def test_doctor_asks_every_head_as_agents_do(monitored: Simulator, asked: str, severity: str, told: str) -> None:
    """By its name in their configuration, at their port, and with their authority."""
    write(monitored, MONITOR, f"role_monitor: {{{asked}}}\n")
    found = json.loads(run(monitored.directory, "doctor", "--json").out)["findings"]
    port = (monitored.directory / "cmd/https").read_text().strip().rpartition(":")[2]
    write(monitored, MONITOR)
    about = [one for one in found if one["subject"].startswith("head node")]
    assert [(one["severity"], f"{one['subject']}: ") for one in about] == [(severity, told)]
    assert f"at port {port}" in about[0]["cause"]


def test_doctor_believes_only_the_authority_that_agents_have(monitored: Simulator) -> None:
    ca = monitored.directory / agent.CA.lstrip("/")
    before = ca.read_bytes()
    ca.write_bytes((monitored.directory / agent.CERTIFICATE.lstrip("/")).read_bytes())
    told, plan = run(monitored.directory, "doctor").out, run(monitored.directory, "plan").out
    ca.write_bytes(before)
    assert "head node 127.0.0.1: " in told and "the agents may not believe BCM" in told
    assert f"{agent.CA} is not BCM's authority of now" in plan


@pytest.mark.parametrize(
    ("days", "problem", "note"), [(31, "", ""), (29, "", "ends in 28 days: "), (0, "ended: BCM refuses the agents", "")]
)
def test_a_certificate_that_ended_stops_a_plan(
    monitored: Simulator, monkeypatch: pytest.MonkeyPatch, days: int, problem: str, note: str
) -> None:
    end = datetime.now(timezone.utc) + timedelta(days=days, hours=-1)
    monkeypatch.setattr(validity, "ends", lambda path: end)
    plan = deployed(monitored, planning.for_apply)
    assert [problem in one for one in plan.problems] == [True] * bool(problem)
    assert any(f"{agent.CERTIFICATE} ends" in one for one in plan.notes) == bool(note)
    assert note in "\n".join(plan.notes)


def test_a_certificate_that_is_none_stops_a_plan(monitored: Simulator) -> None:
    made = monitored.directory / agent.CERTIFICATE.lstrip("/")
    before = made.read_bytes()
    made.write_text("x")
    problems = deployed(monitored, planning.for_apply).problems
    made.write_bytes(before)
    assert len(problems) == 1 and "is no certificate" in problems[0] and "--force" in problems[0]


def test_a_role_that_nothing_has_is_told(monitored: Simulator) -> None:
    write(monitored, MONITOR, "roles: {jobstats: {attach: {with_role: slurmclinet}}}\n")
    notes = run(monitored.directory, "plan").out
    write(monitored, MONITOR)
    assert "nothing in BCM has the role slurmclinet that the exporters follow; did you mean 'slurmclient'?" in notes
    assert "the exporters follow BCM's role" not in notes


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


STAND_IN = """\
#!/bin/bash
# Registers the node as an agent does that sees the role, and withdraws that when it is stopped.
trap 'rm -f {file}; exit' TERM
echo '[]' > {file}
while :; do sleep 0.1; done
"""


@pytest.mark.slow
def test_a_node_stays_registered_when_the_mode_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On nodes whose services run, with a stand-in for the agent: by apply, and by rollback."""
    with cluster(tmp_path / "head", nodes=1, node_kind="process") as simulator:
        file = simulator.directory / "cm/shared/apps/jobstats/prometheus-targets/dgx-01.json"
        monkeypatch.setattr(agent, "program", lambda: STAND_IN.format(file=file).encode())
        write(simulator, MONITOR)
        assert run(simulator.directory, "certificate", "--for", "role-monitor", "-q").status == 0

        def by(who: str) -> bool:
            simulator.control({"op": "wait_idle"})
            return file.exists() and (file.read_text() == "[]\n") == (who == MONITOR)

        for mode in (SERVICES, MONITOR, "", MONITOR, GENERIC):
            write(simulator, mode or SERVICES)
            done(simulator, "apply" if mode else "rollback")
            until(partial(by, mode or SERVICES), what=f"the node is registered after {mode or 'rollback'}")
