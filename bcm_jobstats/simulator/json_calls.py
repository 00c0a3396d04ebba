"""The calls over JSON that are known, and the ones that are guessed (bcm-facts §8.1, §13 #7).

Guessed are the overlay calls (a switch says in which service they are, or that there are none), CMJob::getWlmClusters,
CMMain::getVersion, and what getProfile, getSubjectName, getLastEvents and getBasicEntityInformation exactly answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Callable, Optional

from bcm_jobstats.simulator import json_objects as objects
from bcm_jobstats.simulator.http_version import version

if TYPE_CHECKING:
    from bcm_jobstats.simulator.http_web import Web
    from bcm_jobstats.simulator.json_words import Caller


@dataclass(frozen=True)
class Call:
    """A call: the token that it needs, its parameters by name, and what it does."""

    token: str
    parameters: tuple[str, ...]
    function: Callable[..., Any]


Calls = Mapping[tuple[str, str], Call]
_CMDEVICE, _CMPART = "CMDevice", "CMPart"


def _every(mode: str, *kinds: str) -> Callable[..., Any]:
    return lambda web, caller: objects.every(web, mode, kinds)


def _one(mode: str, *kinds: str) -> Callable[..., Any]:
    return lambda web, caller, name: objects.one(web, mode, name, kinds)


def _update(mode: str) -> Callable[..., Any]:
    return lambda web, caller, entity: objects.update(web, caller, mode, entity)


def _add(mode: str) -> Callable[..., Any]:
    return lambda web, caller, entity, clone_data=None: objects.add(web, caller, mode, entity, clone_data)


def _remove(mode: str) -> Callable[..., Any]:
    """The removal of an object; `removeAll` is about revisions of images, which are not simulated."""

    def remove(web: Web, caller: Caller, key: object, data: object = None, *rest: object) -> Any:
        del rest
        return objects.remove(web, caller, mode, key, data=data is True and mode == "softwareimage")

    return remove


def _version(web: Web, caller: Caller) -> dict[str, Any]:
    del caller
    return version(web.daemon.profile)


def _events(web: Web, caller: Caller, count: Optional[int]) -> list[dict[str, str]]:
    del caller
    lines = web.daemon.events.since(0)
    wanted = lines[-count:] if isinstance(count, int) and count > 0 else lines
    return [{"baseType": "Event", "message": line} for line in wanted]


_PLAIN: dict[tuple[str, str], Call] = {
    (_CMDEVICE, "getNodes"): Call("GET_DEVICE_TOKEN", (), _every("device", "HeadNode", "PhysicalNode")),
    (_CMDEVICE, "getNode"): Call("GET_DEVICE_TOKEN", ("name",), _one("device", "HeadNode", "PhysicalNode")),
    (_CMDEVICE, "getDevices"): Call("GET_DEVICE_TOKEN", (), _every("device")),
    (_CMDEVICE, "getDevice"): Call("GET_DEVICE_TOKEN", ("name",), _one("device")),
    (_CMDEVICE, "getComputeNodes"): Call("GET_DEVICE_TOKEN", (), _every("device", "PhysicalNode")),
    (_CMDEVICE, "updateDevice"): Call("UPDATE_DEVICE_TOKEN", ("entity",), _update("device")),
    (_CMDEVICE, "addLiteNode"): Call("ADD_DEVICE_TOKEN", ("entity",), _add("device")),
    (_CMDEVICE, "getCategories"): Call("GET_CATEGORY_TOKEN", (), _every("category")),
    (_CMDEVICE, "getCategory"): Call("GET_CATEGORY_TOKEN", ("name",), _one("category")),
    (_CMDEVICE, "updateCategory"): Call("UPDATE_CATEGORY_TOKEN", ("entity",), _update("category")),
    (_CMPART, "getSoftwareImages"): Call("GET_SOFTWAREIMAGE_TOKEN", (), _every("softwareimage")),
    (_CMPART, "getSoftwareImage"): Call("GET_SOFTWAREIMAGE_TOKEN", ("name",), _one("softwareimage")),
    (_CMPART, "addSoftwareImage"): Call("ADD_SOFTWAREIMAGE_TOKEN", ("entity", "cloneData"), _add("softwareimage")),
    (_CMPART, "updateSoftwareImage"): Call("UPDATE_SOFTWAREIMAGE_TOKEN", ("entity",), _update("softwareimage")),
    (_CMPART, "removeSoftwareImage"): Call(
        "UPDATE_SOFTWAREIMAGE_TOKEN", ("uuid", "removeData", "removeAll", "force"), _remove("softwareimage")
    ),
    (_CMPART, "getBasicEntityInformation"): Call("GET_PARTITION_TOKEN", ("uuids",), objects.basic),
    (_CMPART, "getRacksByUuids"): Call("GET_PARTITION_TOKEN", ("uuids",), lambda web, caller, uuids: []),
    ("CMNet", "getNetworks"): Call("GET_NETWORK_TOKEN", (), objects.networks),
    ("CMJob", "getWlmClusters"): Call("GET_WLM_CLUSTER_TOKEN", (), _every("wlm")),
    ("CMMain", "getProfile"): Call("", (), lambda web, caller: caller.profile),
    ("CMMain", "getSubjectName"): Call("", (), lambda web, caller: caller.name),
    ("CMMain", "getVersion"): Call("GET_VERSION_TOKEN", (), _version),
    ("CMSession", "getLastEvents"): Call("GET_SESSION_TOKEN", ("count",), _events),
}

_OVERLAY = "configurationoverlay"
_OVERLAYS: dict[str, Call] = {
    "getConfigurationOverlays": Call("GET_CONFIGURATIONOVERLAY_TOKEN", (), _every(_OVERLAY)),
    "getConfigurationOverlay": Call("GET_CONFIGURATIONOVERLAY_TOKEN", ("name",), _one(_OVERLAY)),
    "addConfigurationOverlay": Call("ADD_CONFIGURATIONOVERLAY_TOKEN", ("entity",), _add(_OVERLAY)),
    "updateConfigurationOverlay": Call("UPDATE_CONFIGURATIONOVERLAY_TOKEN", ("entity",), _update(_OVERLAY)),
    "removeConfigurationOverlay": Call("UPDATE_CONFIGURATIONOVERLAY_TOKEN", ("uuid", "force"), _remove(_OVERLAY)),
}
"""Their tokens belong to CMDevice (AM11 Table J), so the calls probably do too."""


@cache
def calls(overlay_calls: str) -> Calls:
    """All calls by service and name; the switch says where those of overlays are."""
    service = {"cmdevice": _CMDEVICE, "cmpart": _CMPART}.get(overlay_calls)
    overlays = {(service, name): call for name, call in _OVERLAYS.items()} if service else {}
    return {**_PLAIN, **overlays}
