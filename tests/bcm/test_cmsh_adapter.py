"""The port's contract, over the cmsh adapter: whatever nobody could confirm about BCM, the answers are the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Callable, Optional

import pytest

from bcm_jobstats.bcm.capabilities import PROBE_ROLE, can_assign_generic_role
from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.bcm.cmsh.adapter import CmshBcm
from bcm_jobstats.bcm.entities import (
    CATEGORY,
    NODE,
    OVERLAY,
    Category,
    GenericRole,
    Overlay,
    Place,
    Service,
    SoftwareImage,
    WlmCluster,
    place,
)
from bcm_jobstats.bcm.errors import Refused
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.simulator import Simulator
from tests.harness import cluster, cmsh

ENDING = {"uncommitted": "keep", "exit_status": "honest", "errors_to": "stderr"}
PRINTING = {"empty_get": "nothing", "json_cells": "full", "get_nodes": "names"}
SETTINGS: dict[str, tuple[str, dict[str, str]]] = {
    "bcm10": ("bcm10", {}),
    "bcm10, everything the other way": ("bcm10", {**ENDING, **PRINTING}),
    "bcm11, ending the other way": ("bcm11", ENDING),
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
def bcm(simulator: Simulator) -> Iterator[Bcm]:
    """The port; when a test ends, the cluster has to be as it was found."""
    before = simulator.state()
    yield CmshBcm(simulator.cmsh, 30.0)
    after = simulator.state()
    if after != before:
        undo(simulator)
    assert after == before


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
def furnished(simulator: Simulator, bcm: Bcm) -> Iterator[Bcm]:
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
    yield bcm
    undo(simulator)


def test_what_is_there_is_read(furnished: Bcm, simulator: Simulator) -> None:
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
    assert found.wlms == {"slurm": WlmCluster("slurm", "slurm")}
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
    """The node carries the role that was asked for, so it is looked at."""
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


@pytest.mark.parametrize("possible", [True, False])
@pytest.mark.parametrize("where", PLACES, ids=str)
def test_whether_a_role_can_be_assigned_is_found_out_without_a_trace(
    bcm: Bcm, simulator: Simulator, where: Place, possible: bool
) -> None:
    before = (simulator.directory / "cmd/state.json").read_bytes()
    simulator.control({"op": "switch", "name": "generic_assign", "value": "yes" if possible else "no"})
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
def test_an_administrators_name_that_cannot_be_sent_is_no_obstacle(bcm: Bcm, simulator: Simulator, name: str) -> None:
    cmsh(simulator, f'configurationoverlay; add "{name}"; commit')
    try:
        found = bcm.read(["slurmclient"])
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
    bcm.update_nodes("dgx-h100")


def test_a_category_that_cannot_be_updated_is_an_error(bcm: Bcm) -> None:
    with pytest.raises(Refused, match="nosuch"):
        bcm.update_nodes("nosuch")


def test_places_are_written_and_read_as_text() -> None:
    assert [place(str(where)) for where in PLACES] == PLACES


NAMES = {4: ["dgx-01", "dgx-02", "dgx-03", "dgx-04"], 400: [f"dgx-{number:03}" for number in range(1, 401)]}


def test_the_number_of_cmsh_processes_does_not_depend_on_the_number_of_nodes(tmp_path: Path) -> None:
    counted = {size: processes(tmp_path / str(size), names) for size, names in NAMES.items()}
    assert counted[4] == counted[400]
    assert counted[4] == {"read": 2, "every_node": 2, "with_role": 3, "save": 2, "states": 1, "update": 1}


def processes(directory: Path, names: list[str]) -> dict[str, int]:
    with cluster(directory, nodes=len(names)) as simulator:
        bcm = CmshBcm(simulator.cmsh, 60.0)
        many = Overlay("many", nodes=tuple(names))
        calls: dict[str, Callable[[], object]] = {
            "read": lambda: bcm.read(["slurmclient"]),
            "every_node": lambda: bcm.read(["slurmclient"], every_node=True),
            "save": lambda: bcm.save_overlay(None, many),
            "states": lambda: bcm.service_states(names),
            "update": lambda: bcm.update_nodes("dgx-h100"),
        }
        counts = {}
        for what, call in calls.items():
            counts[what] = started(simulator, call)
        cmsh(simulator, f"configurationoverlay; use many; roles; assign {ROLE}; set services x; commit")
        counts["with_role"] = started(simulator, lambda: bcm.read(["slurmclient", ROLE]))
        found = bcm.read()
        assert found.overlays["many"].nodes == tuple(names)
        assert len(found.nodes) == len(names) + 2
        return counts


def started(simulator: Simulator, call: Callable[[], object]) -> int:
    """How many cmsh processes a call starts."""
    simulator.control({"op": "reset_log"})
    call()
    return sum("argv" in entry for entry in simulator.control({"op": "log"})["result"])


def test_a_script_too_long_for_an_argument_is_sent_all_the_same(tmp_path: Path) -> None:
    with cluster(tmp_path / "head") as simulator:
        many = ["configurationoverlay get slurm-client priority"] * 4000
        assert len("; ".join(many)) > process.LONGEST_ARGUMENT
        answer = process.run(simulator.cmsh, many, 60.0)
        assert answer.text.splitlines() == ["500"] * 4000


def test_the_probe_stands_on_a_default_where_there_is_nothing_to_try_it_on(tmp_path: Path) -> None:
    with cluster(tmp_path / "head") as simulator:
        bcm = CmshBcm(simulator.cmsh, 30.0)
        found = bcm.read()
        assert can_assign_generic_role(bcm, replace(found, overlays={}, categories={}))
        simulator.control({"op": "switch", "name": "generic_assign", "value": "no"})
        assert not can_assign_generic_role(bcm, found)
        assert PROBE_ROLE not in json.dumps(simulator.state())
