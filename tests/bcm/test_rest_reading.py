"""How CMDaemon's JSON becomes our entities: both versions' keys, every spelling, and no wrong form taken for another.

The answers under tests/assets/json have the keys of bcm-facts §2, §3.2, §3.3, §6, §8.1 and §8.2; the numbers of BCM 10
are made up, as no capture of its overlays is public.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Callable, cast

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
    Service,
    SoftwareImage,
    WlmCluster,
)
from bcm_jobstats.bcm.errors import Refused, Unreadable
from bcm_jobstats.bcm.rest import reading
from bcm_jobstats.bcm.rest.adapter import RestBcm
from bcm_jobstats.bcm.rest.client import Client
from bcm_jobstats.bcm.rest.effective import effective_roles
from bcm_jobstats.bcm.rest.errors import Forbidden, ReadOnly, UnknownCall
from bcm_jobstats.errors import JobstatsError

ASSETS = Path(__file__).parents[1] / "assets/json"
PROFILES = ("bcm10", "bcm11")
Told = dict[str, Any]
OVERLAYS, DEVICES, CATEGORIES, IMAGES, WLMS = (
    "cmdevice getConfigurationOverlays", "cmdevice getDevices", "cmdevice getCategories", "cmpart getSoftwareImages",
    "cmjob getWlmClusters",
)  # fmt: skip


class Recorded:
    """A client that answers from what was told; what was not told is no call of this CMDaemon."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.asked: list[str] = []

    def call(self, service: str, method: str, *args: object) -> Any:
        return self.get(f"{service} {method}")

    def get(self, path: str) -> Any:
        self.asked.append(path)
        answer = self.told.get(path, UnknownCall(path, "is not known"))
        if isinstance(answer, JobstatsError):
            raise answer
        return deepcopy(answer)


def recorded(profile: str) -> Told:
    told: Told = json.loads((ASSETS / f"{profile}.json").read_text())
    return told


def bcm(told: Told) -> RestBcm:
    return RestBcm(cast(Client, Recorded(told)))


def read(told: Told) -> Cluster:
    return bcm(told).read(every_node=True)


JOBSTATS, DCGM = "generic::jobstats", "generic::dcgm-exporter"
EXPECTED = Cluster(
    version="",
    overlays={
        "slurm-client": Overlay("slurm-client", 500, False, (), ("dgx",)),
        "jobstats": Overlay("jobstats", -1, True, ("node001", "node002"), (), "bcm-jobstats"),
    },
    categories={"default": Category("default", "default-image"), "dgx": Category("dgx", "dgx-image")},
    nodes={
        "basecm": Node("basecm", "HeadNode", status="UP"),
        "node001": Node("node001", "PhysicalNode", "dgx", "default-image", "UP"),
        "node002": Node("node002", "PhysicalNode", "default", "", "DOWN"),
        "lite01": Node("lite01", "LiteNode", status="UP"),
        "switch01": Node("switch01", "EthernetSwitch", status="DOWN"),
    },
    images={name: SoftwareImage(name, f"/cm/images/{name}") for name in ("default-image", "dgx-image")},
    wlms={"slurm": WlmCluster("slurm", "slurm", version="24.11")},
    roles={
        Place(OVERLAY, "slurm-client"): ("slurmclient",),
        Place(OVERLAY, "jobstats"): (JOBSTATS,),
        Place(CATEGORY, "dgx"): (DCGM,),
        Place(NODE, "basecm"): ("boot", "storage"),
        Place(NODE, "node001"): (JOBSTATS,),
    },
    generic={
        Place(OVERLAY, "jobstats"): {JOBSTATS: GenericRole(JOBSTATS, ("node_exporter",), "bcm-jobstats")},
        Place(CATEGORY, "dgx"): {DCGM: GenericRole(DCGM, ("dcgm-exporter",), "bcm-jobstats")},
        Place(NODE, "node001"): {JOBSTATS: GenericRole(JOBSTATS, ("node_exporter", "jobstats-target"), "bcm-jobstats")},
    },
    services={
        Place(CATEGORY, "default"): {"nslcd": Service("nslcd", True, True)},
        Place(NODE, "node001"): {"cups": Service("cups", False, True)},
    },
)


@pytest.mark.parametrize(("profile", "version"), [("bcm10", "10.25.03"), ("bcm11", "11.0")])
def test_both_versions_say_the_same(profile: str, version: str) -> None:
    """Keys of bcm-facts §2, §3.2, §3.3, §6, §8.1, §8.2; what differs between versions: §11 #2, §11 #5."""
    found = read(recorded(profile))
    assert found.version == version
    assert found == Cluster(**{**vars(EXPECTED), "version": version})


def by_name(told: Told) -> None:
    names = {}
    for kind, key in ((DEVICES, "hostname"), (CATEGORIES, "name"), (IMAGES, "name")):
        names.update({one.get("uuid", one.get("uniqueKey")): one[key] for one in told[kind]})

    def spell(value: Any) -> Any:
        return names.get(value, value) if isinstance(value, (str, int)) else value

    for one in told[OVERLAYS]:
        one["nodes"], one["categories"] = list(map(spell, one["nodes"])), list(map(spell, one["categories"]))
    for one in told[DEVICES]:
        one["category"] = spell(one.get("category"))
    for one in (*told[DEVICES], *told[CATEGORIES]):
        if one.get("softwareImageProxy"):
            one["softwareImageProxy"]["parentSoftwareImage"] = spell(one["softwareImageProxy"]["parentSoftwareImage"])


def other_generic_names(told: Told) -> None:
    for one in (*told[OVERLAYS], *told[CATEGORIES], *told[DEVICES]):
        for role in one.get("roles", []):
            if role["childType"] == "GenericRole":
                name = role["name"]
                role["name"] = name[len("generic::") :] if name.startswith("generic::") else f"generic::{name}"


def no_category(value: Any) -> Callable[[Told], None]:
    def change(told: Told) -> None:
        told[DEVICES][0]["category"] = value

    return change


def no_service_of_a_role(told: Told) -> None:
    for one in told[DEVICES]:
        for service in one.get("services", []):
            if not service["addFromRole"]:
                del service["addFromRole"]


def brackets(told: Told) -> None:
    for one in told["/rest/v1/status"]:
        one["status"] = f"[   {one['status']}   ]"


def other_service(told: Told) -> None:
    told["cmpart getConfigurationOverlays"] = told.pop(OVERLAYS)


SPELLINGS: dict[str, Callable[[Told], None]] = {
    "references by name": by_name,
    "generic names the other way": other_generic_names,
    "no category is null": no_category(None),
    "no category is empty": no_category(""),
    "no category is zero": no_category(0),
    "services do not tell where they come from": no_service_of_a_role,
    "states in brackets": brackets,
    "overlays in the other service": other_service,
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("change", SPELLINGS.values(), ids=SPELLINGS)
def test_what_nobody_could_confirm_makes_no_difference(profile: str, change: Callable[[Told], None]) -> None:
    """bcm-facts §13 #7."""
    told = recorded(profile)
    change(told)
    found = read(told)
    assert found == Cluster(**{**vars(EXPECTED), "version": found.version})


def test_the_service_of_overlays_is_looked_for_once() -> None:
    told = recorded("bcm11")
    other_service(told)
    client = Recorded(told)
    port = RestBcm(cast(Client, client))
    port.read()
    port.read()
    assert [one for one in client.asked if one.endswith("Overlays")] == [
        OVERLAYS,
        *["cmpart getConfigurationOverlays"] * 2,
    ]
    assert reading.overlay_service(cast(Client, client)) == "cmpart"


def test_a_cmdaemon_without_calls_for_overlays_is_an_error_that_names_the_doubt() -> None:
    """bcm-facts §13 #7; AM11 Table J has the tokens under CMDevice."""
    told = recorded("bcm11")
    del told[OVERLAYS]
    with pytest.raises(Refused, match="overlay-calls") as raised:
        read(told)
    assert "--bcm cmsh" in raised.value.remedy


def test_a_cmdaemon_that_does_not_tell_of_workload_managers() -> None:
    """That CMJob has the call is an assumption; nothing else depends on it. AM11 Table J has its token there."""
    told = recorded("bcm11")
    del told[WLMS]
    assert read(told).wlms == {}


SETTINGS: dict[str, tuple[dict[str, Any], WlmCluster]] = {
    "camel case": (
        {"etc": "/cm/e", "selectTypeParameters": "CR_Core", "prologFlags": ["Alloc", "X11"],
         "cgroups": {"constrainCores": True, "constrainRAMSpace": False}},
        WlmCluster("slurm", "slurm", "/cm/e", "24.11", {"selecttypeparameters": "CR_Core", "prologflags": "Alloc,X11",
                                                        "constraincores": "yes", "constrainramspace": "no"}),
    ),
    "small letters, flags as words": (
        {"selecttypeparameters": "", "cgroups": {"constraincores": "no", "constrainramspace": "YES"}},
        WlmCluster("slurm", "slurm", "", "24.11", {"selecttypeparameters": "", "constraincores": "no",
                                                   "constrainramspace": "yes"}),
    ),
    "of forms that are not known": (
        {"etc": [5], "version": 24.11, "selectTypeParameters": 3, "prologFlags": [1], "cgroups": [1]},
        WlmCluster("slurm", "slurm"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("told", "found"), SETTINGS.values(), ids=SETTINGS)
def test_settings_of_slurm_are_read_whatever_their_keys_look_like(told: dict[str, Any], found: WlmCluster) -> None:
    """bcm-facts §5.2, §5.3: no public text has the keys. What is not understood is not told, and in nobody's way."""
    answers = recorded("bcm11")
    answers[WLMS][0].update(told)
    assert read(answers).wlms == {"slurm": found}


@pytest.mark.parametrize("call", list(recorded("bcm11")))
def test_a_call_that_the_certificate_does_not_allow_is_an_error(call: str) -> None:
    """Never an empty list (bcm-facts §8.1)."""
    told = recorded("bcm11")
    told[call] = Forbidden(call, "Your certificate (profile:readonly) does not allow access")
    with pytest.raises(Forbidden, match="does not allow"):
        read(told)


@pytest.mark.parametrize("call", list(recorded("bcm11")))
@pytest.mark.parametrize(
    "answer", [None, True, 5, "text", {}, {"errors": []}, [None], [[]], ["node001"], [{}]], ids=repr
)
def test_an_answer_of_another_form_is_an_error(call: str, answer: object) -> None:
    told = recorded("bcm11")
    told[call] = answer
    with pytest.raises(Unreadable) as raised:
        read(told)
    assert raised.value.remedy


@pytest.mark.parametrize("call", [DEVICES, CATEGORIES, IMAGES])
def test_a_list_that_is_never_empty_is_missed(call: str) -> None:
    told = recorded("bcm11")
    told[call] = []
    with pytest.raises(Unreadable, match="every BCM has one"):
        read(told)


@pytest.mark.parametrize("call", [DEVICES, CATEGORIES, IMAGES, OVERLAYS, WLMS])
def test_two_objects_of_one_name_are_an_error(call: str) -> None:
    told = recorded("bcm11")
    told[call].append(deepcopy(told[call][0]))
    with pytest.raises(Unreadable, match="two have that name"):
        read(told)


USED = {
    OVERLAYS: {"name", "priority", "allHeadNodes", "nodes", "categories", "roles", "revision"},
    CATEGORIES: {"name", "softwareImageProxy", "roles", "services"},
    DEVICES: {"hostname", "childType", "category", "roles", "services"},
    IMAGES: {"name", "path"},
    WLMS: {"name", "childType"},
    "roles": {"name", "childType"},
    "GenericRole": {"name", "childType", "services", "revision"},
    "services": {"name", "monitored", "autostart", "revision"},
    "softwareImageProxy": {"parentSoftwareImage"},
    "/rest/v1/version": {"cm_version"},
    "/rest/v1/status": {"hostname", "status"},
}
"""What is read of each kind of object, and has to be there."""
MAY_LACK = {("lite01", key) for key in ("category", "roles", "services")} | {
    ("switch01", key) for key in ("category", "roles", "services")
} | {("basecm", "category")}  # fmt: skip
"""A device that is no node with an image."""
WRONG: tuple[Any, ...] = (None, True, -7, 1.5, "no such thing", [], {}, [None], [7], [[]], [{"name": "x"}])
FINE: dict[str, tuple[type, ...]] = {
    "name": (str,), "hostname": (str,), "childType": (str,), "path": (str,), "revision": (str,), "status": (str,),
    "cm_version": (str,), "priority": (int,), "allHeadNodes": (bool,), "monitored": (bool,), "autostart": (bool,),
}  # fmt: skip
"""Where another value of the right type is another fact, not another form."""


def objects(value: Any, kind: str) -> Iterator[tuple[str, Told]]:
    """Every object in the answers with the kind that USED calls it by."""
    if isinstance(value, list):
        for one in value:
            yield from objects(one, kind)
    elif isinstance(value, dict):
        yield ("GenericRole" if value.get("childType") == "GenericRole" else kind), value
        inner = {"roles", "services", "softwareImageProxy"} if kind in {OVERLAYS, CATEGORIES, DEVICES} else ()
        for key in sorted(inner):
            yield from objects(value.get(key), key)


def spots(told: Told) -> list[tuple[str, int, str]]:
    """Every field that is read, as kind, position of the object among all, and key."""
    found = []
    for position, (kind, one) in enumerate(pair for call, value in told.items() for pair in objects(value, call)):
        if one.get("addFromRole"):
            continue  # a service that a role brings is not read
        name = one.get("hostname", one.get("name", ""))
        found += [(kind, position, key) for key in sorted(USED[kind]) if key in one and (name, key) not in MAY_LACK]
    return found


def at(told: Told, position: int) -> Told:
    return [one for call, value in told.items() for _, one in objects(value, call)][position]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_field_that_is_missing_or_of_another_form_is_never_passed_over(profile: str) -> None:
    """Every field of every object that is read, each with everything that it cannot be."""
    tried = 0
    for _, position, key in spots(recorded(profile)):
        for value in ("missing", *WRONG):
            told = recorded(profile)
            one = at(told, position)
            if value == one[key] or (type(value) in FINE.get(key, ()) and value != "missing"):
                continue
            if key in {"nodes", "categories", "roles", "services"} and value == []:
                continue  # an empty list is another fact
            if key in {"category", "softwareImageProxy", "parentSoftwareImage"} and value is None:
                continue  # so is no category, or no image of its own
            if value == "missing":
                del one[key]
            else:
                one[key] = value
            tried += 1
            with pytest.raises(Unreadable):
                pytest.fail(f"{key} of object {position} as {value!r}: {read(told)}")
    assert tried > 500


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_not_read_may_be_anything(profile: str) -> None:
    told = recorded(profile)
    for call, value in told.items():
        for _, one in objects(value, call):
            one.update({"extra_values": {"x": [1]}, "modified": "x", "unheard-of": {"of": None}, "parent_uuid": 7})
    assert read(told).overlays == EXPECTED.overlays


HOSTILE = ["", "R&D", "a;b", 'quo"te', "new\nline", "Ünï", "x" * 5000, "7", "00000000-0000-0000-0000-000000000000"]


@pytest.mark.parametrize("name", HOSTILE)
def test_an_overlay_of_any_name(name: str) -> None:
    told = recorded("bcm11")
    told[OVERLAYS][1]["name"] = name
    if name:
        assert read(told).overlays[name] == Overlay(name, -1, True, ("node001", "node002"), (), "bcm-jobstats")
    else:
        with pytest.raises(Unreadable, match="overlay"):
            read(told)


def test_a_name_that_is_anothers_key_means_the_other() -> None:
    told = recorded("bcm11")
    key = told[CATEGORIES][0]["uuid"]
    told[CATEGORIES][1]["name"] = key
    assert read(told).nodes["node002"].category == "default"


def test_a_generic_role_twice_is_an_error() -> None:
    told = recorded("bcm11")
    roles = told[OVERLAYS][1]["roles"]
    roles.append({**roles[0], "name": "jobstats"})
    with pytest.raises(Unreadable, match="it is there twice"):
        read(told)


def test_of_single_nodes_only_what_was_asked_for_is_told() -> None:
    port = bcm(recorded("bcm11"))
    own = {where for where in EXPECTED.roles if where.kind != NODE}
    assert set(port.read().roles) == own
    assert set(port.read(["slurmclient"]).roles) == {*own, Place(NODE, "node001")}
    assert set(port.read(["BOOT"]).roles) == {*own, Place(NODE, "basecm")}
    assert set(port.read([DCGM]).generic) == set(EXPECTED.generic)
    assert set(port.read(["slurmclient"]).services) == {Place(CATEGORY, "default")}


def test_an_overlay_that_is_ignored_gives_no_role() -> None:
    """Priority -1 (bcm-facts §2): node002 is in it, and has no role by it."""
    told = recorded("bcm11")
    told[DEVICES][2]["roles"] = [{**told[OVERLAYS][0]["roles"][0], "name": "login"}]
    assert Place(NODE, "node002") not in bcm(told).read([JOBSTATS]).roles
    told[OVERLAYS][1]["priority"] = 500
    assert Place(NODE, "node002") in bcm(told).read([JOBSTATS]).roles


WHERE = Place(OVERLAY, "o")
WRITES: dict[str, Callable[[RestBcm], object]] = {
    "save_overlay": lambda port: port.save_overlay(None, Overlay("o")),
    "remove_overlay": lambda port: port.remove_overlay("o"),
    "save_role": lambda port: port.save_role(WHERE, None, GenericRole(JOBSTATS)),
    "remove_role": lambda port: port.remove_role(WHERE, JOBSTATS),
    "save_service": lambda port: port.save_service(WHERE, None, Service("s")),
    "remove_service": lambda port: port.remove_service(WHERE, Service("s")),
    "update_nodes": lambda port: port.update_nodes("c"),
    "restart_services": lambda port: port.restart_services("c", ["s"]),
    "execute": lambda port: port.execute(["n1"], "true"),
    "service_states": lambda port: port.service_states(["n1"]),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_it_reads_only_and_says_what_to_use(write: Callable[[RestBcm], object]) -> None:
    """bcm-facts §8.1: what is written wrongly is dropped silently, and the calls are not confirmed."""
    client = Recorded({})
    with pytest.raises(ReadOnly, match="reading only") as raised:
        write(RestBcm(cast(Client, client)))
    assert "--bcm cmsh" in raised.value.remedy
    assert client.asked == []


DEVICE = [
    {"cluster": "basecm10", "hostname": "basecm10", "ip": "10.141.255.254", "roles": ["backup", "HeadNode"],
     "type": "HeadNode"},
    {"category": "default", "cluster": "basecm10", "hostname": "node001", "ip": "10.141.0.1", "type": "PhysicalNode"},
]  # fmt: skip


def test_effective_roles_are_in_lower_case_and_may_be_missing() -> None:
    """bcm-facts §8.2 [T]: a node without roles has no such key."""
    client = cast(Client, Recorded({"/rest/v1/device": DEVICE}))
    assert effective_roles(client) == {"basecm10": {"backup", "headnode"}, "node001": frozenset()}


@pytest.mark.parametrize("roles", ["slurmclient", 5, [5], {"slurmclient": True}, True])
def test_effective_roles_of_another_form_are_an_error(roles: object) -> None:
    """A node must never lose its role because of an answer that was not understood."""
    told = [{"hostname": "node001", "roles": roles}]
    with pytest.raises(Unreadable, match="node001"):
        effective_roles(cast(Client, Recorded({"/rest/v1/device": told})))
