"""The port's contract, over every adapter: whatever nobody could confirm about BCM, the answers are the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Callable, Optional

import pytest

from bcm_jobstats.bcm.capabilities import can_assign_generic_role
from bcm_jobstats.bcm.choice import CMSH, PYTHONCM, REST
from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.bcm.entities import (
    CATEGORY,
    NODE,
    OVERLAY,
    Category,
    Cluster,
    GenericRole,
    Overlay,
    Place,
    Service,
    SoftwareImage,
    WlmCluster,
    place,
)
from bcm_jobstats.bcm.errors import Refused
from bcm_jobstats.bcm.port import PROBE_ROLE, Bcm
from bcm_jobstats.simulator import Simulator
from tests.bcm.adapters import READERS, WRITERS, adapter, questions
from tests.harness import cluster, cmsh

ENDING = {"uncommitted": "keep", "exit_status": "honest", "errors_to": "stderr"}
PRINTING = {"empty_get": "nothing", "json_cells": "full", "get_nodes": "names"}
JSON = {"overlay_calls": "cmpart", "json_references": "name", "json_generic_name": "bare"}
SETTINGS: dict[str, tuple[str, dict[str, str]]] = {
    "bcm10": ("bcm10", {}),
    "bcm10, everything the other way": ("bcm10", {**ENDING, **PRINTING, **JSON}),
    "bcm11, ending and JSON the other way": ("bcm11", {**ENDING, **JSON}),
    "bcm11, printing the other way": ("bcm11", PRINTING),
}
CLIENT = Place(OVERLAY, "slurm-client")
PLACES = [CLIENT, Place(CATEGORY, "login"), Place(NODE, "dgx-02")]
ROLE = "generic::jobstats"


@pytest.fixture(scope="module", params=list(SETTINGS.values()), ids=list(SETTINGS))
def simulator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    profile, switches = request.param
    with cluster(tmp_path_factory.mktemp("contract") / "head", profile=profile, switches=switches) as started:
        yield started


@pytest.fixture
def untouched(simulator: Simulator) -> Iterator[None]:
    """When a test ends, the cluster has to be as it was found."""
    before = simulator.state()
    yield
    after = simulator.state()
    if after != before:
        undo(simulator)
    assert after == before


@pytest.fixture(params=WRITERS)
def bcm(request: pytest.FixtureRequest, simulator: Simulator, untouched: None) -> Bcm:
    """The port, by every adapter that writes."""
    return adapter(request.param, simulator)


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest, simulator: Simulator, untouched: None) -> Bcm:
    """The port, by every adapter."""
    return adapter(request.param, simulator)


def undo(simulator: Simulator) -> None:
    """Take away whatever the tests put there."""
    for script in (
        "device; use dgx-03; services; remove cups; commit",
        f"device; use dgx-02; roles; unassign {ROLE}; commit",
        "device; use dgx-02; clear softwareimage; commit",
        "category; use login; services; remove nslcd; commit",
        f"category; use login; roles; unassign {ROLE}; commit",
        f"configurationoverlay; use slurm-client; roles; unassign {ROLE}; commit",
        *(f"configurationoverlay; remove {name}; commit" for name in ("wide", "bad")),
    ):
        process.run(simulator.cmsh, [script], 30.0)


@pytest.fixture
def furnished(simulator: Simulator, reader: Bcm) -> Iterator[Bcm]:
    """A cluster with something of every kind in it, put there by hand."""
    cmsh(simulator, f"configurationoverlay; add wide; set priority -1; set nodes dgx-01..dgx-03,login-01; "
                    f"set categories login default; set revision \"r 1\"; roles; assign {ROLE}; "
                    f"set services b a; set revision \"bcm-jobstats\"; commit")  # fmt: skip
    cmsh(simulator, f"category; use login; roles; assign {ROLE}; commit")
    cmsh(simulator, "category; use login; services; add nslcd; set monitored yes; set revision mine; commit")
    cmsh(
        simulator, f"device; use dgx-02; set softwareimage default-image; roles; assign {ROLE}; set services x; commit"
    )
    cmsh(simulator, "device; use dgx-03; services; add cups; set autostart yes; commit")
    yield reader
    undo(simulator)


def test_what_is_there_is_read(furnished: Bcm, simulator: Simulator) -> None:
    """bcm-facts §1.7, §6, §7, §8: head nodes, images and their paths, whichever way they are asked for."""
    found = furnished.read([ROLE], every_node=True)
    assert found.version.split(".")[0] in {"10", "11"}
    assert sorted(found.overlays) == sorted(simulator.state()["configurationoverlay"])
    assert found.overlays["wide"] == Overlay(
        "wide", -1, False, ("dgx-01", "dgx-02", "dgx-03", "login-01"), ("default", "login"), "r 1"
    )
    assert found.overlays["slurm-server"] == Overlay("slurm-server", 500, True)
    assert found.overlays["wlm-headnode-submit"].priority == 600
    assert found.categories["dgx-h100"] == Category("dgx-h100", "dgx-image")
    assert found.images["dgx-image"] == SoftwareImage("dgx-image", "/cm/images/dgx-image")
    etc = "var/etc/slurm" if found.version.startswith("10") else "etc/slurm"  # bcm-facts §5.2
    settings = {"selecttypeparameters": "", "prologflags": "Alloc", "constraincores": "yes", "constrainramspace": "no"}
    assert found.wlms == {"slurm": WlmCluster("slurm", "slurm", f"/cm/shared/apps/slurm/{etc}", "24.11", settings)}
    assert sorted(found.nodes) == ["bcm-head", "dgx-01", "dgx-02", "dgx-03", "dgx-04", "login-01"]
    assert found.nodes["bcm-head"].is_head and not found.nodes["dgx-01"].is_head
    assert {name: found.image_of(node) for name, node in found.nodes.items() if not node.is_head} == {
        "dgx-01": "dgx-image",
        "dgx-02": "default-image",
        "dgx-03": "dgx-image",
        "dgx-04": "dgx-image",
        "login-01": "login-image",
    }


def test_what_is_assigned_is_read_where_it_was_put(furnished: Bcm) -> None:
    """bcm-facts §8.1: JSON tells a node's own roles only."""
    found = furnished.read([ROLE], every_node=True)
    wide, login, node = Place(OVERLAY, "wide"), Place(CATEGORY, "login"), Place(NODE, "dgx-02")
    assert sorted(map(str, found.places_with(ROLE))) == sorted(map(str, (wide, login, node)))
    assert found.roles[CLIENT] == ("slurmclient",)
    assert set(found.generic) == {wide, login, node}
    assert found.generic[wide] == {ROLE: GenericRole(ROLE, ("b", "a"), "bcm-jobstats")}
    assert found.generic[login] == {ROLE: GenericRole(ROLE)}
    assert found.generic[node] == {ROLE: GenericRole(ROLE, ("x",))}
    assert found.services[login] == {"nslcd": Service("nslcd", True, False, "mine")}
    assert found.services[Place(NODE, "dgx-03")]["cups"] == Service("cups", False, True)


def test_a_nodes_own_role_is_found_without_asking_every_node(furnished: Bcm) -> None:
    """The node carries the role that was asked for, so it is looked at. bcm-facts §1.6: `foreach -l`."""
    assert furnished.read([ROLE]).generic[Place(NODE, "dgx-02")] == {ROLE: GenericRole(ROLE, ("x",))}
    assert furnished.read(["slurmclient", ROLE]).roles[Place(NODE, "dgx-02")] == (ROLE,)


WIDE = Overlay("wide", 510, True, ("dgx-01", "dgx-02"), ("dgx-h100", "login"), "bcm-jobstats")
STEPS: dict[str, list[Overlay]] = {
    "priority": [WIDE, replace(WIDE, priority=-1)],
    "heads": [WIDE, replace(WIDE, all_head_nodes=False), WIDE],
    "nodes": [WIDE, replace(WIDE, nodes=("dgx-02", "dgx-03", "dgx-04")), replace(WIDE, nodes=()), WIDE],
    "nodes that are no range": [WIDE, replace(WIDE, nodes=("dgx-01", "dgx-03", "login-01"))],
    "categories": [WIDE, replace(WIDE, categories=("login",)), replace(WIDE, categories=()), WIDE],
    "revision": [WIDE, replace(WIDE, revision="bcm-jobstats, members by administrator"), replace(WIDE, revision="")],
    "nothing": [WIDE, WIDE],
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_overlays_are_made_changed_and_removed(bcm: Bcm, steps: list[Overlay]) -> None:
    """bcm-facts §2; §1.5: set, clear and commit, which prints nothing."""
    before: Optional[Overlay] = None
    for after in steps:
        assert bcm.save_overlay(before, after) == after
        before = after
    assert bcm.read().overlays["wide"] == before
    assert bcm.remove_overlay("wide") is None


FULL = GenericRole(ROLE, ("node_exporter", "jobstats-target"), "bcm-jobstats")


@pytest.mark.parametrize("where", PLACES, ids=str)
def test_roles_are_assigned_changed_and_unassigned(bcm: Bcm, where: Place) -> None:
    before: Optional[GenericRole] = None
    for after in (FULL, replace(FULL, services=("node_exporter",)), GenericRole(ROLE), FULL):
        assert bcm.save_role(where, before, after) == after
        before = after
    assert bcm.read([ROLE]).generic[where] == {ROLE: FULL}
    assert bcm.remove_role(where, ROLE) is None
    assert bcm.read([ROLE]).generic == {}


@pytest.mark.parametrize("where", PLACES[1:], ids=str)
def test_services_are_added_changed_and_removed(bcm: Bcm, where: Place) -> None:
    """bcm-facts §3.3; §7: OSServiceConfig."""
    full = Service("node_exporter", True, True, f"bcm-jobstats, {where}")
    before: Optional[Service] = None
    for after in (full, Service("node_exporter"), full):
        assert bcm.save_service(where, before, after) == after
        before = after
    assert bcm.read(every_node=True).services[where] == {"node_exporter": full}
    assert bcm.remove_service(where, full) is None
    assert where not in bcm.read(every_node=True).services


REFUSED: dict[str, tuple[Overlay, str]] = {
    "priority": (Overlay("bad", 250), "priority"),
    "node": (Overlay("bad", nodes=("nosuch",)), "nosuch"),
    "category": (Overlay("bad", categories=("nosuch",)), "nosuch"),
    "taken": (Overlay("slurm-client", 300), "already"),
}


@pytest.mark.parametrize(("overlay", "word"), REFUSED.values(), ids=REFUSED)
def test_what_cmdaemon_does_not_take_is_an_error_that_names_it(
    bcm: Bcm, simulator: Simulator, overlay: Overlay, word: str
) -> None:
    with pytest.raises(Refused) as error:
        bcm.save_overlay(None, overlay)
    kept = "bad" in bcm.read().overlays
    if kept:
        bcm.remove_overlay("bad")
    assert error.value.subject == f"overlay {overlay.name}"
    assert word in error.value.cause
    assert error.value.remedy
    # A BCM that commits what is left at the end of a session does so after an error too.
    assert not kept or simulator.status()["switches"]["uncommitted"] == "keep", "half of it was committed"


@pytest.mark.parametrize("where", [Place(OVERLAY, "nosuch"), Place(CATEGORY, "nosuch"), Place(NODE, "nosuch")], ids=str)
def test_a_place_that_is_not_there_is_an_error(bcm: Bcm, where: Place) -> None:
    with pytest.raises(Refused, match="nosuch"):
        bcm.save_role(where, None, GenericRole(ROLE, ("x",)))


def test_the_order_of_services_is_no_matter(bcm: Bcm, simulator: Simulator) -> None:
    role = GenericRole(ROLE, ("b", "a"))
    assert bcm.save_role(CLIENT, None, role) == role
    cmsh(simulator, f"configurationoverlay; use slurm-client; roles; use {ROLE}; set services a b; commit")
    assert bcm.save_role(CLIENT, role, replace(role, revision="r")) == replace(role, revision="r")
    bcm.remove_role(CLIENT, ROLE)


@pytest.mark.parametrize("assigned", ["yes", "no"])
@pytest.mark.parametrize("where", PLACES, ids=str)
def test_whether_a_role_can_be_assigned_is_found_out_without_a_trace(
    bcm: Bcm, simulator: Simulator, where: Place, assigned: str
) -> None:
    """bcm-facts §13 #1; §1.5: nothing happens before `commit`."""
    possible = assigned == "yes" or bcm.name == PYTHONCM  # where a GenericRole can be made whatever cmsh can do
    before = (simulator.directory / "cmd/state.json").read_bytes()
    simulator.control({"op": "switch", "name": "generic_assign", "value": assigned})
    simulator.control({"op": "reset_log"})
    try:
        assert bcm.can_assign(where, PROBE_ROLE) == possible
    finally:
        simulator.control({"op": "switch", "name": "generic_assign", "value": "yes"})
    assert [entry for entry in simulator.control({"op": "log"})["result"] if "commit" in entry] == []
    assert (simulator.directory / "cmd/state.json").read_bytes() == before


def test_the_probe_of_a_role_that_is_there_does_not_take_it_away(bcm: Bcm, simulator: Simulator) -> None:
    bcm.save_role(CLIENT, None, GenericRole(PROBE_ROLE, ("x",)))
    before = simulator.state()
    assert can_assign_generic_role(bcm, bcm.read())
    assert simulator.state() == before
    bcm.remove_role(CLIENT, PROBE_ROLE)


@pytest.mark.parametrize("name", ["R&D", "gpu (old)"])
def test_an_administrators_name_that_cannot_be_sent_is_no_obstacle(
    reader: Bcm, simulator: Simulator, name: str
) -> None:
    cmsh(simulator, f'configurationoverlay; add "{name}"; commit')
    try:
        found = reader.read(["slurmclient"])
    finally:
        process.run(simulator.cmsh, [f'configurationoverlay; remove "{name}"; commit'], 30.0)
    assert found.roles[CLIENT] == ("slurmclient",)


def test_the_states_of_services_are_told_node_by_node(bcm: Bcm, simulator: Simulator) -> None:
    bcm.save_role(CLIENT, None, GenericRole(ROLE, ("node_exporter", "jobstats-target")))
    simulator.control({"op": "wait_idle"})
    up = {"node_exporter": "UP", "jobstats-target": "UP"}
    assert bcm.service_states(["dgx-01", "dgx-03", "login-01"]) == {"dgx-01": up, "dgx-03": up, "login-01": {}}
    bcm.remove_role(CLIENT, ROLE)
    simulator.control({"op": "wait_idle"})
    assert bcm.service_states(["dgx-01"]) == {"dgx-01": {}}


def test_nodes_are_updated_from_their_image(bcm: Bcm) -> None:
    """bcm-facts §13 #10: pythoncm's names for it are not public, so every way goes through cmsh."""
    bcm.update_nodes("dgx-h100")


def test_a_category_that_cannot_be_updated_is_an_error(bcm: Bcm) -> None:
    with pytest.raises(Refused, match="nosuch"):
        bcm.update_nodes("nosuch")


def test_places_are_written_and_read_as_text() -> None:
    assert [place(str(where)) for where in PLACES] == PLACES


ASKED = {"nothing": ((), False), "a role": (("slurmclient",), False), "ours": ((ROLE, "slurmclient"), False),
         "everything": ((), True)}  # fmt: skip


@pytest.mark.parametrize(("roles", "every_node"), ASKED.values(), ids=ASKED)
def test_every_adapter_reads_the_same(
    furnished: Bcm, simulator: Simulator, roles: tuple[str, ...], every_node: bool
) -> None:
    """Only the version is told differently: as `Cluster Manager` or as `cm_version` (bcm-facts §11.2)."""
    expected = adapter(CMSH, simulator).read(roles, every_node=every_node)
    assert comparable(furnished.read(roles, every_node=every_node)) == comparable(expected)


def comparable(found: Cluster) -> Cluster:
    """What was read, without the order in which roles are listed, without what a node's list in cmsh shows beyond the
    node's own services, and without what cmsh prints after a state (`[   UP   ] restart-required`)."""
    nodes = {name: replace(node, status=node.status.split()[0]) for name, node in found.nodes.items()}
    listed = {where: tuple(sorted(names)) for where, names in found.roles.items()}
    brought = {name for roles in found.generic.values() for role in roles.values() for name in role.services}
    own = {}
    for where, there in found.services.items():
        category = found.nodes[where.name].category if where.kind == NODE else ""
        inherited = brought | set(found.services.get(Place(CATEGORY, category), {}))
        if kept := {name: service for name, service in there.items() if name not in inherited}:
            own[where] = kept
    return replace(found, version=found.version.split(".")[0], nodes=nodes, roles=listed, services=own)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A cluster without switches."""
    with cluster(tmp_path_factory.mktemp("plain") / "head", profile="bcm11") as started:
        yield started


HOSTILE = [
    'a "quoted" name',
    "it's",
    "one; two",
    "two\nlines",
    "`touch x`",
    "$HOME",
    "Ünïcödé ☃",
    "[overlay:x]",
    "a,b",
    "../x",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_any_kind_are_read(plain: Simulator, name: str) -> None:
    """Made by pythoncm, where nothing has to be quoted; cmsh has them in its lists and does not touch them."""
    made, role = Overlay(name, 510, nodes=("dgx-01",), revision="r"), GenericRole(ROLE, ("x",), "r")
    pythoncm, where = adapter(PYTHONCM, plain), Place(OVERLAY, name)
    assert pythoncm.save_overlay(None, made) == made
    assert pythoncm.save_role(where, None, role) == role
    try:
        found = {way: adapter(way, plain).read([ROLE]) for way in READERS}
    finally:
        assert pythoncm.remove_role(where, ROLE) is None
        assert pythoncm.remove_overlay(name) is None
    assert {way: one.overlays.get(name) for way, one in found.items()} == dict.fromkeys(READERS, made)
    assert {way: one.generic.get(where, {}).get(ROLE) for way, one in found.items() if where not in one.unseen} == {
        way: role for way in READERS if way != CMSH or where not in found[CMSH].unseen
    }
    assert found[REST].unseen == found[PYTHONCM].unseen == ()


SIZES = (4, 400)


@pytest.mark.parametrize("way", WRITERS)
def test_the_number_of_questions_does_not_depend_on_the_number_of_nodes(tmp_path: Path, way: str) -> None:
    small, large = (asked(tmp_path / str(size), way, size) for size in SIZES)
    assert small == large
    assert all(small.values())


def asked(directory: Path, way: str, size: int) -> dict[str, int]:
    """How much each call asks on a cluster of that size; the JSON adapter reads what the other one wrote."""
    with cluster(directory, nodes=size) as simulator:
        bcm, names = adapter(way, simulator), tuple(sorted(adapter(CMSH, simulator).read().nodes))
        wide, role = Overlay("wide", nodes=names, revision="r"), GenericRole(ROLE, ("x",))
        calls: dict[str, Callable[[], object]] = {
            "save": lambda: bcm.save_overlay(None, wide),
            "change": lambda: bcm.save_overlay(wide, replace(wide, nodes=names[1:])),
            "role": lambda: bcm.save_role(Place(OVERLAY, "wide"), None, role),
            "read": lambda: bcm.read([ROLE, "slurmclient"]),
            "every node": lambda: bcm.read([ROLE], every_node=True),
            "read over JSON": lambda: adapter(REST, simulator).read([ROLE], every_node=True),
            "remove": lambda: bcm.remove_role(Place(OVERLAY, "wide"), ROLE),
        }
        counts = {}
        for what, call in calls.items():
            simulator.control({"op": "reset_log"})
            call()
            counts[what] = len(questions(simulator))
        assert counts["read over JSON"] == 7
        return counts
