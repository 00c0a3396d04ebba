"""REST of the simulated CMDaemon (bcm-facts §8.2)."""

from __future__ import annotations

import pytest

from tests.simulator.web import Web


def test_what_there_is(web: Web, web11: Web) -> None:
    """bcm-facts §8.2; §13 #8."""
    assert web.admin.get("/rest") == (200, ["v1"])
    assert web11.admin.get("/rest/") == (200, ["v1", "v2"])
    parts = ["monitoring", "chargeback", "status", "session", "check", "version"]
    parts += ["license", "sysinfo", "device", "workload", "event"]
    assert web11.admin.get("/rest/v1") == (200, parts)
    assert {"rest": "/rest/v1"} in web11.cluster.daemon.log


@pytest.mark.parametrize("path", ["/rest/v1/nothing", "/rest/v2/entities", "/", "/api", "/json", "/rest/v1/deviceX"])
def test_what_there_is_not(web11: Web, path: str) -> None:
    assert web11.admin.get(path)[0] == 404


def test_version(web: Web, web11: Web) -> None:
    """bcm-facts §8.2, §11 #2."""
    told = web11.admin.get("/rest/v1/version")[1]
    assert list(told) == ["cm_version", "cmd_version", "build_hash", "build_index", "database_version"]
    assert (told["cm_version"], told["cmd_version"]) == ("11.0", "3.1")
    assert web.admin.get("/rest/v1/version")[1]["cm_version"] == "10.25.03"


def test_devices(web: Web) -> None:
    """bcm-facts §8.2."""
    head, node, *_ = web.admin.get("/rest/v1/device")[1]
    assert list(head) == ["cluster", "hostname", "ip", "mac", "network", "roles", "type"]
    assert (head["cluster"], head["hostname"], head["type"]) == ("bcm-head", "bcm-head", "HeadNode")
    assert {"backup", "storage", "firewall", "headnode", "monitoring", "provisioning", "boot"} <= set(head["roles"])
    assert (node["category"], node["type"], node["roles"]) == (
        "dgx-h100",
        "PhysicalNode",
        ["slurmclient", "slurmsubmit"],
    )


def test_without_a_role_there_is_no_key(web: Web) -> None:
    """bcm-facts §8.2."""
    web.cluster.control(op="switch", name="rest_roles", value="own")
    head, node, *_ = web.admin.get("/rest/v1/device")[1]
    assert "roles" not in node and "slurmserver" not in head["roles"]
    web.cluster.run("device roles dgx-01; assign login; commit")
    assert web.admin.get("/rest/v1/device")[1][1]["roles"] == ["login"]


def test_status(web: Web) -> None:
    """bcm-facts §8.2."""
    web.cluster.control(op="node", name="dgx-02", state="down")
    plain = {one["hostname"]: one for one in web.admin.get("/rest/v1/status")[1]}
    assert plain["dgx-01"] == {"hostname": "dgx-01", "status": "UP"} and plain["dgx-02"]["status"] == "DOWN"
    web.cluster.run("device; set dgx-01 category default; commit")
    told = {one["hostname"]: one for one in web.admin.get("/rest/v1/status?verbose=1")[1]}["dgx-01"]
    assert told["restart_required"] is True
    assert {"health_check_failed", "health_check_unknown", "provisioning_failed"} <= set(told)


def test_indent(web: Web) -> None:
    """bcm-facts §8.2."""
    assert b"\n" not in web.admin.send("GET", "/rest/v1/device")[1]
    assert web.admin.send("GET", "/rest/v1/device?indent=1")[1].startswith(b'[\n {\n  "cluster": "bcm-head"')


def test_nobody_is_refused(web: Web) -> None:
    assert web.nobody.get("/rest/v1/device")[0] == 401
    assert web.nobody.get("/rest")[0] == 401


def test_a_mark_by_the_switch(web: Web) -> None:
    """Whether there is an ETag is not in the facts."""
    assert "ETag" not in web.admin.send("GET", "/rest/v1/device")[2]
    web.cluster.control(op="switch", name="rest_etag", value="present")
    status, body, headers = web.admin.send("GET", "/rest/v1/device")
    tag = headers["ETag"]
    assert status == 200 and body and tag.startswith('"')
    assert web.admin.send("GET", "/rest/v1/device", If_None_Match=tag)[:2] == (304, b"")
    assert "ETag" not in web.admin.send("POST", "/json", {"service": "cmdevice", "call": "getDevices"})[2]
    web.cluster.run("device roles dgx-01; assign login; commit")
    status, body, headers = web.admin.send("GET", "/rest/v1/device", If_None_Match=tag)
    assert status == 200 and body and headers["ETag"] != tag
