"""REST of CMDaemon, as far as it is documented (bcm-facts §8.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from bcm_jobstats.simulator.http_version import version
from bcm_jobstats.simulator.schema import BCM10

if TYPE_CHECKING:
    from bcm_jobstats.simulator.http_web import Web

PARTS = [
    *("monitoring", "chargeback", "status", "session", "check", "version"),
    *("license", "sysinfo", "device", "workload", "event"),
]
TOKENS = {
    "/rest/v1/version": "GET_VERSION_TOKEN",
    "/rest/v1/device": "GET_DEVICE_TOKEN",
    "/rest/v1/status": "GET_DEVICE_STATUS_TOKEN",
}


def get(web: Web, path: str, query: dict[str, str]) -> Optional[Any]:
    """The answer to a GET, None when there is nothing at this path. `/rest/v2` is listed and not simulated."""
    if path == "/rest":
        return ["v1"] if web.daemon.profile == BCM10 else ["v1", "v2"]
    if path == "/rest/v1":
        return PARTS
    if path == "/rest/v1/version":
        return version(web.daemon.profile)
    if path == "/rest/v1/device":
        return devices(web)
    if path == "/rest/v1/status":
        return statuses(web, verbose=query.get("verbose") == "1")
    return None


def devices(web: Web) -> list[dict[str, Any]]:
    """Every device; without any role there is no key `roles`. Inherited roles count by a switch (§13 #9)."""
    state, cluster = web.daemon.state, next(iter(web.daemon.ha.roots))
    effective = web.daemon.switches["rest_roles"] == "effective"
    found = []
    for name, device in state.table("device").items():
        told: dict[str, Any] = {}
        if device.values.get("category"):
            told["category"] = device.values["category"]
        told.update(cluster=cluster, hostname=name, ip=device.values.get("ip", ""), mac=device.values.get("mac", ""))
        told["network"] = device.values.get("network", "internalnet")
        roles = list(state.resolver.roles(name) if effective else device.entries("roles"))
        if roles:
            told["roles"] = roles
        told["type"] = device.kind
        found.append(told)
    return found


def statuses(web: Web, *, verbose: bool) -> list[dict[str, Any]]:
    """The state of every device; its flags when asked for."""
    nodes = web.daemon.nodes
    found = []
    for name in web.daemon.state.table("device"):
        told: dict[str, Any] = {"hostname": name, "status": nodes.status(name).strip("[] ")}
        if verbose:
            told.update(health_check_failed=False, health_check_unknown=False, provisioning_failed=False)
            told["restart_required"] = name in nodes.restart_required
        found.append(told)
    return found
