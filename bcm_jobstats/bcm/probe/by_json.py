"""Questions to CMDaemon's JSON and REST, and to pythoncm."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from bcm_jobstats.bcm import capabilities as doubts
from bcm_jobstats.bcm.capabilities import Capability
from bcm_jobstats.bcm.choice import client
from bcm_jobstats.bcm.entities import GENERIC, NODE
from bcm_jobstats.bcm.errors import Unreadable
from bcm_jobstats.bcm.probe.answer import UNKNOWN, Answer, Question
from bcm_jobstats.bcm.probe.prober import Prober

if TYPE_CHECKING:
    from bcm_jobstats.bcm.rest.client import Client


def _pythoncm(prober: Prober) -> Answer:
    from bcm_jobstats.bcm.pythoncm.load import find

    return Answer("yes", str(find(prober.access.root)))


def _client(prober: Prober) -> Client:
    return client(prober.access)


def _entities(subject: str, told: object) -> list[dict[str, Any]]:
    """What was told, when it is a list of objects; raises Unreadable."""
    if not isinstance(told, list) or not all(isinstance(entity, dict) for entity in told):
        raise Unreadable(subject, "CMDaemon did not answer with a list of objects", "")
    return told


def _texts(value: object) -> list[str]:
    """The texts in a list; none when it is something else."""
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _tls_names(prober: Prober) -> Answer:
    told = _client(prober).get("/rest")
    prober.note("rest", "/rest", json.dumps(told))
    return Answer("yes", f"{prober.access.address} answered")


def _rest_v2(prober: Prober) -> Answer:
    told = _client(prober).get("/rest")
    return Answer("present" if isinstance(told, list) and "v2" in told else "absent", json.dumps(told))


def _rest_roles(prober: Prober) -> Answer:
    devices = _entities("/rest/v1/device", _client(prober).get("/rest/v1/device"))
    roles = {str(d.get("hostname", "")): {role.lower() for role in _texts(d.get("roles"))} for d in devices}
    cluster = prober.cluster
    for where, names in cluster.roles.items():
        for node in cluster.members(where) if where.kind != NODE else ():
            if node.name in roles:
                listed = names[0].lower() in roles[node.name]
                return Answer("effective" if listed else "own", f"{names[0]} of {where} on {node.name}")
    return Answer(UNKNOWN, "no overlay or category gives a node a role")


def _rest_etag(prober: Prober) -> Answer:
    """Asked as the agent on a node does, by its own code."""
    from bcm_jobstats.node.config import Config
    from bcm_jobstats.node.heads import Heads
    from bcm_jobstats.node.tls import Tls

    host, _, port = prober.access.address.rpartition(":")
    certificate, key = prober.access.credentials
    config = Config(heads=(host.strip("[]"),), port=int(port), certificate=certificate, key=key, ca=prober.access.ca)
    heads = Heads(config, Tls(config, lambda what, function: function(), lambda priority, line: None))
    heads.ask()
    if not heads.tag:
        return Answer("absent", "no ETag")
    heads.ask()
    return Answer("present" if heads.same else "ignored", heads.tag)


def _overlay_calls(prober: Prober) -> Answer:
    from bcm_jobstats.bcm.rest.reading import overlay_service

    service = overlay_service(_client(prober))
    return Answer(service, f"{service}::getConfigurationOverlays answered")


def _json_references(prober: Prober) -> Answer:
    devices = _entities("cmdevice::getDevices", _client(prober).call("cmdevice", "getDevices"))
    categories = [str(device.get("category") or "") for device in devices]
    there = next((category for category in categories if category), "")
    if not there:
        return Answer(UNKNOWN, "no device has a category")
    return Answer("uuid" if re.fullmatch(r"[0-9a-f-]{36}|[0-9]+", there) else "name", "category of a device")


def _json_generic_name(prober: Prober) -> Answer:
    from bcm_jobstats.bcm.rest.reading import overlay_service

    client = _client(prober)
    overlays = _entities("getConfigurationOverlays", client.call(overlay_service(client), "getConfigurationOverlays"))
    categories = _entities("cmdevice::getCategories", client.call("cmdevice", "getCategories"))
    roles = [role for entity in [*overlays, *categories] for role in _entities("roles", entity.get("roles") or [])]
    names = [str(role.get("name", "")) for role in roles if role.get("childType") == "GenericRole"]
    if not names:
        return Answer(UNKNOWN, "there is no generic role yet")
    return Answer("prefixed" if names[0].startswith(GENERIC) else "bare", "name of a generic role")


QUESTIONS: dict[Capability, Question] = {
    doubts.OVERLAY_CALLS: _overlay_calls,
    doubts.JSON_REFERENCES: _json_references,
    doubts.JSON_GENERIC_NAME: _json_generic_name,
    doubts.REST_V2: _rest_v2,
    doubts.REST_ROLES: _rest_roles,
    doubts.REST_ETAG: _rest_etag,
    doubts.PYTHONCM: _pythoncm,
    doubts.TLS_NAMES: _tls_names,
}
