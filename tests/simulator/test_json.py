"""JSON-RPC of the simulated CMDaemon (bcm-facts §8.1, §3.2, §3.3)."""

from __future__ import annotations

import gzip
import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.simulator.layout import Layout
from tests.simulator.web import Web

NIL = "00000000-0000-0000-0000-000000000000"
OVERLAY = "slurm-client"


def overlay(web: Web, name: str = OVERLAY) -> dict[str, Any]:
    told: dict[str, Any] = web.admin.call("cmdevice", "getConfigurationOverlay", name)
    return told


def update(web: Web, entity: dict[str, Any], call: str = "updateConfigurationOverlay") -> dict[str, Any]:
    service = "cmpart" if "Image" in call else "cmdevice"
    told: dict[str, Any] = web.admin.call(service, call, {**entity, "modified": True})
    return told


def generic(**values: Any) -> dict[str, Any]:
    types = {"baseType": "Role", "childType": "GenericRole", "uuid": str(uuid.uuid4())}
    return {**types, "name": "generic::jobstats", "addServices": True, "services": ["node_exporter"], **values}


def test_a_call_answers_a_list_and_service_names_are_lenient(web11: Web) -> None:
    """bcm-facts §8.1."""
    for service in ("cmdevice", "CMDevice", "device", "CMDEVICE"):
        told = web11.admin.call(service, "getDevices")
        assert [one["hostname"] for one in told][:2] == ["bcm-head", "dgx-01"]
    assert len(web11.admin.call("cmdevice", "getComputeNodes")) == 5
    assert {"json": "CMDevice::getDevices"} in web11.cluster.daemon.log


def test_arguments_come_as_a_list_alone_or_by_name(web11: Web) -> None:
    """bcm-facts §8.1."""
    forms = ({"args": ["dgx-01"]}, {"arg": "dgx-01"}, {"name": "dgx-01"})
    told = [web11.admin.post({"service": "cmdevice", "call": "getNode", **form}, "/json/")[1] for form in forms]
    assert [one["hostname"] for one in told] == ["dgx-01"] * 3
    assert web11.admin.call("cmdevice", "getNode", "master")["childType"] == "HeadNode"


def test_errors_have_the_literal_texts_and_status_200(web11: Web) -> None:
    """bcm-facts §8.1."""
    refused = {"errormessage": "Your certificate (profile:) does not allow access to CMDevice::getDevices\n"}
    assert web11.nobody.post({"service": "cmdevice", "call": "getDevices"}) == (200, refused)
    told = web11.admin.post({"service": "fake", "call": "getDevices"})
    assert told == (200, {"errormessage": "No such service: '(cm)fake'\n"})


@pytest.mark.parametrize(
    "body",
    [
        {"service": "cmdevice", "call": "getNothing"},
        {"service": "cmdevice"},
        {"service": "cmdevice", "call": "getNode", "args": "dgx-01"},
        {"service": "cmdevice", "call": "getNodes", "args": ["too", "many"]},
        {"service": "cmdevice", "call": "updateDevice", "args": ["no entity"]},
        {"call": "getNodes"},
        ["no", "object"],
        "no JSON",
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_call_is_http_400(web11: Web, body: Any) -> None:
    """bcm-facts §8.1."""
    assert web11.admin.post(body)[0] == 400
    assert not [entry for entry in web11.cluster.daemon.log if "error" in entry]


def test_not_found_is_null(web11: Web) -> None:
    """bcm-facts §8.1."""
    assert web11.admin.call("cmdevice", "getDevice", "nosuch") is None
    assert web11.admin.call("cmdevice", "getDevice", {"bad": "type"}) is None
    assert web11.admin.call("cmpart", "getSoftwareImage", NIL) is None


def test_minify_and_gzip(web11: Web) -> None:
    """bcm-facts §8.1."""
    body = {"service": "cmmain", "call": "getVersion"}
    plain = web11.admin.send("POST", "/json", body)[1]
    small = web11.admin.send("POST", "/json", {**body, "minify": True})[1]
    assert len(small) < len(plain) and json.loads(small) == json.loads(plain)
    _, packed, headers = web11.admin.send("POST", "/json", body, Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip" and gzip.decompress(packed) == plain


def test_the_common_keys_differ_between_versions(web: Web) -> None:
    """bcm-facts §8.1, §11 #5."""
    old = overlay(web)
    assert {"uniqueKey", "toBeRemoved", "oldLocalUniqueKey"} <= set(old) and not {"uuid", "to_be_removed"} & set(old)
    web.cluster.run("configurationoverlay; use slurm-client; roles; assign generic::x; commit")
    role = overlay(web)["roles"][1]
    assert {"uniqueKey", "toBeRemoved"} <= set(role) and "parent_uuid" not in role
    assert "managed" not in str(web.admin.call("cmdevice", "getCategory", "default"))


def test_keys_of_11(web11: Web) -> None:
    """bcm-facts §8.1."""
    told = overlay(web11)
    keys = {"baseType", "childType", "uuid", "revision", "modified", "to_be_removed", "extra_values"}
    assert keys <= set(told) and "uniqueKey" not in told
    assert (told["priority"], told["allHeadNodes"], told["nodes"]) == (500, False, [])
    (role,) = told["roles"]
    seen = {"addServices", "baseType", "childType", "extra_values", "modified", "name", "revision", "to_be_removed"}
    assert seen | {"uuid", "wlmCluster"} <= set(role)
    assert (role["childType"], role["parent_uuid"]) == ("SlurmClientRole", told["uuid"])
    category = web11.admin.call("cmdevice", "getCategory", told["categories"][0])
    image = web11.admin.call("cmpart", "getSoftwareImage", category["softwareImageProxy"]["parentSoftwareImage"])
    assert (category["name"], image["name"], image["fileOperationInProgress"]) == ("dgx-h100", "dgx-image", False)


def test_a_generic_role_has_the_documented_fields(web11: Web) -> None:
    """bcm-facts §3.2."""
    run = web11.cluster.run
    run("configurationoverlay; use slurm-client; roles; assign generic::jobstats; append services a b")
    run("configurations; add static c; set filename /etc/c; set content text; ..")
    run("..; environments; add PORT; set value 1; ..; ..; commit")
    role = overlay(web11)["roles"][1]
    assert (role["name"], role["childType"], role["services"]) == ("generic::jobstats", "GenericRole", ["a", "b"])
    assert (role["dataNode"], role["excludeListSnippets"], role["provisioningAssociations"]) == (False, [], [])
    (configuration,) = role["configuration"]
    shown = {"createDirectory": True, "filename": "/etc/c", "mask": 644, "disabled": False, "content": "text"}
    assert shown.items() <= configuration.items()
    assert configuration["serviceActionOnWrite"] == "RESTART" and configuration["serviceStopOnFailure"] is True
    (environment,) = role["extraEnvironment"]
    assert {"name": "PORT", "value": "1", "nodeEnvironment": False}.items() <= environment.items()


@pytest.mark.parametrize("profile", ["bcm10", "bcm11"])
def test_services_have_the_documented_fields(web: Web, web11: Web, profile: str) -> None:
    """bcm-facts §3.3."""
    it = web if profile == "bcm10" else web11
    it.cluster.run("category; use default; services; add cups; set monitored yes; commit")
    (service,) = it.admin.call("cmdevice", "getCategory", "default")["services"]
    fields = {"name": "cups", "monitored": True, "autostart": False, "runIf": "ALWAYS", "scriptTimeout": -1}
    assert {**fields, "sicknessCheckScriptTimeout": 10, "sicknessCheckInterval": 60}.items() <= service.items()
    assert service.get("managed") == (None if profile == "bcm10" else True)


def test_device_roles_are_its_own_only(web11: Web) -> None:
    """bcm-facts §8.1."""
    assert web11.admin.call("cmdevice", "getNode", "dgx-01")["roles"] == []
    web11.cluster.run("device roles dgx-01; assign login; commit")
    assert [role["name"] for role in web11.admin.call("cmdevice", "getNode", "dgx-01")["roles"]] == ["login"]


def test_an_update_has_the_documented_answer_and_is_a_commit(web11: Web) -> None:
    """bcm-facts §8.1."""
    told = overlay(web11)
    answer = update(web11, {**told, "priority": 510, "roles": [*told["roles"], generic(revision="mark")]})
    assert answer == {"success": True, "task_uuid": NIL, "updated_entity": None, "validation": []}
    assert web11.cluster.run("configurationoverlay get slurm-client priority") == "510\n"
    assert web11.cluster.run("configurationoverlay roles slurm-client; get generic::jobstats revision") == "mark\n"
    web11.cluster.settled()
    assert "node_exporter" in str(web11.cluster.control(op="services", node="dgx-01"))
    assert {"commit": ["configurationoverlay slurm-client"]} in web11.cluster.daemon.log


def test_reading_and_writing_back_changes_nothing(web11: Web) -> None:
    before = web11.cluster.daemon.state
    for mode, calls in {
        "Device": ("getDevices", "updateDevice"),
        "Category": ("getCategories", "updateCategory"),
        "ConfigurationOverlay": ("getConfigurationOverlays", "updateConfigurationOverlay"),
    }.items():
        for entity in web11.admin.call("cmdevice", calls[0]):
            assert update(web11, entity, calls[1])["success"], mode
    for image in web11.admin.call("cmpart", "getSoftwareImages"):
        assert update(web11, image, "updateSoftwareImage")["success"]
    assert web11.cluster.daemon.state is before


def test_without_modified_nothing_is_written(web11: Web) -> None:
    told = overlay(web11)
    answer = web11.admin.call("cmdevice", "updateConfigurationOverlay", {**told, "priority": 510})
    assert answer["success"] and overlay(web11)["priority"] == 500


def test_an_update_is_the_whole_object(web11: Web) -> None:
    """bcm-facts §8.1."""
    told = overlay(web11)
    web11.cluster.run("configurationoverlay; set slurm-client revision theirs; commit")
    update(web11, {key: value for key, value in told.items() if key != "categories"})
    now = overlay(web11)
    assert (now["revision"], now["categories"]) == ("", [])


def test_what_json_does_not_show_stays(web11: Web) -> None:
    web11.cluster.run("configurationoverlay roles slurm-client; use slurmclient; genericresources; add gpu; commit")
    told = overlay(web11)
    assert update(web11, {**told, "priority": 510})["success"]
    role = web11.cluster.daemon.state.table("configurationoverlay")[OVERLAY].entries("roles")["slurmclient"]
    assert role.entries("genericresources")


@pytest.mark.parametrize(
    "bad",
    [
        {"childType": "NoSuchRole"},
        {"childType": ["GenericRole"]},
        {"childType": "OSServiceConfig"},
        {"baseType": "Service"},
        {"services": "node_exporter"},
        {"services": [1]},
        {"addServices": "yes"},
        {"name": ""},
        {"name": None},
        {"uuid": None},
        {"uuid": "1"},
        {"uuid": "c5bba3f5-d3c2-5399-ad71-ddde8c44d070"},
    ],
)
def test_a_wrong_sub_entity_is_dropped_without_a_word(web11: Web, bad: dict[str, Any]) -> None:
    """bcm-facts §8.1, §11 #16."""
    told = overlay(web11)
    sent = {**told, "roles": [*told["roles"], {**generic(), **bad}, 7]}
    assert update(web11, sent) == {"success": True, "task_uuid": NIL, "updated_entity": None, "validation": []}
    assert overlay(web11)["roles"] == told["roles"]


def test_a_wrong_sub_entity_of_a_sub_entity_is_dropped_too(web11: Web) -> None:
    told = overlay(web11)
    good = {"baseType": "GenericRoleEnvironment", "uuid": str(uuid.uuid4()), "name": "A", "value": "1"}
    role = generic(extraEnvironment=[good, {**good, "uuid": str(uuid.uuid4()), "name": "B", "value": 1}])
    update(web11, {**told, "roles": [*told["roles"], role]})
    assert [one["name"] for one in overlay(web11)["roles"][1]["extraEnvironment"]] == ["A"]


def test_refusals_are_a_validation_list(web11: Web) -> None:
    """bcm-facts §8.1."""
    answer = update(web11, {**overlay(web11), "priority": 250})
    assert answer["success"] is False
    (row,) = answer["validation"]
    assert {"baseType": "Validation", "error_code": "BAD_VALUE", "field": "priority"}.items() <= row.items()
    assert row["severity"] == "ERROR" and overlay(web11)["priority"] == 500
    device = web11.admin.call("cmdevice", "getDevice", "dgx-01")
    (row,) = update(web11, {**device, "category": None}, "updateDevice")["validation"]
    assert (row["error_code"], row["field"]) == ("NOT_NULL", "category")
    (row,) = update(web11, {**overlay(web11), "nodes": ["dgx-01"]})["validation"]
    assert (row["error_code"], row["field"]) == ("BAD_VALUE", "nodes")
    role = generic()
    (row,) = update(web11, {**overlay(web11), "roles": [role, {**role, "uuid": str(uuid.uuid4())}]})["validation"]
    assert (row["error_code"], row["field"]) == ("DUPLICATE_FIELD", "roles")


def test_a_stale_key_is_refused(web11: Web) -> None:
    assert update(web11, {**overlay(web11), "uuid": str(uuid.uuid4())})["success"] is False


def test_overlays_come_and_go(web11: Web) -> None:
    """bcm-facts §2."""
    own, node = str(uuid.uuid4()), web11.admin.call("cmdevice", "getNode", "dgx-01")["uuid"]
    new = {"baseType": "ConfigurationOverlay", "uuid": own, "name": "jobstats", "nodes": [node], "roles": [generic()]}
    assert web11.admin.call("cmdevice", "addConfigurationOverlay", new)["success"]
    assert overlay(web11, own)["name"] == "jobstats" and overlay(web11, own)["uuid"] == own
    assert web11.cluster.run("configurationoverlay get jobstats nodes") == "dgx-01\n"
    again = web11.admin.call("cmdevice", "addConfigurationOverlay", {**new, "uuid": str(uuid.uuid4())})
    assert again["validation"][0]["error_code"] == "DUPLICATE_FIELD"
    nameless = web11.admin.call("cmdevice", "addConfigurationOverlay", {**new, "name": ""})
    assert nameless["validation"][0]["error_code"] == "NOT_NULL"
    assert web11.admin.call("cmdevice", "removeConfigurationOverlay", own)["success"]
    assert overlay(web11, "jobstats") is None


def test_uuids_survive(web11: Web) -> None:
    told, role = overlay(web11), generic()
    update(web11, {**told, "roles": [*told["roles"], role]})
    assert overlay(web11)["roles"][1]["uuid"] == role["uuid"]
    web11.cluster.run("configurationoverlay; set slurm-client name renamed; commit")
    assert (overlay(web11, "renamed")["uuid"], overlay(web11, told["uuid"])["name"]) == (told["uuid"], "renamed")
    assert overlay(web11, "renamed")["roles"][1]["uuid"] == role["uuid"]
    update(web11, {**overlay(web11, "renamed"), "name": "again"})
    assert overlay(web11, "again")["uuid"] == told["uuid"]
    web11.cluster.run("configurationoverlay; add slurm-client; commit")
    assert overlay(web11)["uuid"] != told["uuid"]
    web11.close()
    again = Web(web11.cluster)
    assert overlay(again, "again")["uuid"] == told["uuid"]
    again.close()


def test_a_lite_node_is_a_device_and_no_node(web11: Web) -> None:
    new = {"baseType": "Device", "childType": "LiteNode", "uuid": str(uuid.uuid4()), "hostname": "lite-01"}
    assert web11.admin.call("cmdevice", "addLiteNode", new)["success"]
    web11.cluster.settled()
    assert web11.admin.call("cmdevice", "getDevice", "lite-01")["childType"] == "LiteNode"
    assert web11.admin.call("cmdevice", "getNode", "lite-01") is None
    assert web11.admin.get("/rest/v1/device")[1][-1]["type"] == "LiteNode"
    assert web11.cluster.run("device get lite-01 type") == "LiteNode\n"
    assert not [entry for entry in web11.cluster.daemon.log if "error" in entry]


def test_an_image_is_cloned_in_the_background(web11: Web) -> None:
    source = web11.admin.call("cmpart", "getSoftwareImage", "dgx-image")
    new = {"baseType": "SoftwareImage", "uuid": str(uuid.uuid4()), "name": "copy", "path": "/cm/images/copy"}
    answer = web11.admin.call("cmpart", "addSoftwareImage", new, source["uuid"])
    assert answer["success"] and answer["task_uuid"] != NIL
    web11.cluster.settled()
    assert web11.admin.call("cmpart", "getSoftwareImage", "copy")["fileOperationInProgress"] is False
    assert (web11.root / "cm/images/copy/etc/passwd").exists()
    assert web11.admin.call("cmpart", "removeSoftwareImage", new["uuid"], True, False, False)["success"]
    web11.cluster.settled()
    assert not (web11.root / "cm/images/copy").exists()


@pytest.mark.parametrize(("value", "service"), [("cmdevice", "cmdevice"), ("cmpart", "cmpart"), ("none", "")])
def test_where_the_overlay_calls_are_is_a_switch(web11: Web, value: str, service: str) -> None:
    web11.cluster.control(op="switch", name="overlay_calls", value=value)
    for name in ("cmdevice", "cmpart"):
        status, _ = web11.admin.post({"service": name, "call": "getConfigurationOverlays"})
        assert status == (200 if name == service else 400)


def test_references_by_name_are_a_switch(web11: Web) -> None:
    """bcm-facts §13 #7."""
    web11.cluster.control(op="switch", name="json_references", value="name")
    told = overlay(web11)
    assert told["categories"] == ["dgx-h100"]
    assert web11.admin.call("cmdevice", "getNode", "dgx-01")["category"] == "dgx-h100"
    assert update(web11, {**told, "nodes": ["login-01"]})["success"]
    assert web11.cluster.run("configurationoverlay get slurm-client nodes") == "login-01\n"


def test_bare_names_of_generic_roles_are_a_switch(web11: Web) -> None:
    web11.cluster.control(op="switch", name="json_generic_name", value="bare")
    told = overlay(web11)
    update(web11, {**told, "roles": [*told["roles"], generic(name="jobstats")]})
    assert overlay(web11)["roles"][1]["name"] == "jobstats"
    assert web11.cluster.run("configurationoverlay get slurm-client roles") == "generic::jobstats slurmclient\n"


def test_the_small_calls(web11: Web) -> None:
    call = web11.admin.call
    assert (call("cmmain", "getProfile"), call("cmmain", "getSubjectName")) == ("admin", "Administrator")
    assert call("cmmain", "getVersion")["cm_version"] == "11.0"
    assert call("cmnet", "getNetworks")[0]["name"] == "internalnet"
    assert call("cmpart", "getRacksByUuids", []) == []
    names = {one["uuid"]: one["name"] for one in call("cmpart", "getBasicEntityInformation")}
    (wlm,) = call("cmjob", "getWlmClusters")
    assert names[wlm["uuid"]] == "slurm" and names[overlay(web11)["roles"][0]["wlmCluster"]] == "slurm"
    web11.cluster.control(op="event", text="bcm-head: something")
    assert re.search("something", call("cmsession", "getLastEvents", 1)[0]["message"])


@pytest.mark.parametrize("name", ['a"b', "a;b", "a\nb", "ünïcode", "a'b\\c"])
def test_names_of_all_kinds_go_through(web11: Web, name: str) -> None:
    new = {"baseType": "ConfigurationOverlay", "uuid": str(uuid.uuid4()), "name": name}
    assert web11.admin.call("cmdevice", "addConfigurationOverlay", new)["success"]
    assert overlay(web11, name)["name"] == name


def test_ten_thousand_nodes(tmp_path: Path) -> None:
    cluster = InProcess(tmp_path, Layout("bcm11", nodes=10_000))
    large = Web(cluster)
    try:
        assert len(large.admin.call("cmdevice", "getDevices", minify=True)) == 10_002
    finally:
        large.close()
        cluster.close()


def test_invented_texts_have_another_wording_by_a_switch(web11: Web) -> None:
    web11.cluster.control(op="switch", name="texts", value="other")
    (row,) = update(web11, {**overlay(web11), "priority": 250})["validation"]
    assert "priority should be" not in row["message"] and row["error_code"] == "BAD_VALUE"
    status, told = web11.admin.post({"service": "cmdevice", "call": "getNothing"})
    assert status == 400 and "No such call" not in told["errormessage"]
    assert web11.nobody.post({"service": "x", "call": "y"})[1]["errormessage"] == "No such service: '(cm)x'\n"
