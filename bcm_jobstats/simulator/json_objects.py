"""What the calls over JSON do with the objects: read them, and commit whole ones like any session of cmsh does."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Optional

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.commits import Change, Problem, RefusedError
from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.json_fields import KEYS, NIL, TYPES
from bcm_jobstats.simulator.json_reading import Read, Reader
from bcm_jobstats.simulator.json_uuids import is_v4
from bcm_jobstats.simulator.json_words import BadCallError, Caller, done, refused
from bcm_jobstats.simulator.json_writing import Writer
from bcm_jobstats.simulator.modes import MODES

if TYPE_CHECKING:
    from bcm_jobstats.simulator.http_web import Web

Json = dict[str, Any]
KINDS = {"configurationoverlay": "ConfigurationOverlay", "device": "LiteNode", "softwareimage": "SoftwareImage"}
"""What can be added over JSON."""

_SHOWN = ("device", "category", "configurationoverlay", "softwareimage", "wlm")


def every(web: Web, mode: str, kinds: Iterable[str]) -> list[Json]:
    """All objects of a mode, or those of some kinds."""
    writer = Writer(web)
    table = web.daemon.state.table(mode)
    return [writer.top(mode, name, entity) for name, entity in table.items() if not kinds or entity.kind in kinds]


def one(web: Web, mode: str, key: object, kinds: Iterable[str] = ()) -> Optional[Json]:
    """An object by name or uuid; null when it is not there, or of another kind (bcm-facts §8.1)."""
    name = find(web, mode, key)
    if name is None:
        return None
    entity = web.daemon.state.table(mode)[name]
    return Writer(web).top(mode, name, entity) if not kinds or entity.kind in kinds else None


def find(web: Web, mode: str, key: object) -> Optional[str]:
    """The name of the object that a key means: its name, its uuid, or `master` for the head node."""
    table = web.daemon.state.table(mode)
    if not isinstance(key, str):
        return None
    if mode == "device" and key == "master":
        return web.daemon.head
    return key if key in table else web.uuids.names(mode, table).get(key)


def basic(web: Web, caller: Caller, uuids: Optional[list[str]]) -> list[Json]:
    """The names of objects by their uuids, of all of them without an argument."""
    del caller
    writer, key = Writer(web), KEYS[web.daemon.profile].uuid
    tables = {mode: web.daemon.state.table(mode) for mode in _SHOWN}
    told = [writer.basic(mode, name, entity) for mode, table in tables.items() for name, entity in table.items()]
    return [one for one in told if one[key] in uuids] if uuids else told


def networks(web: Web, caller: Caller) -> list[Json]:
    """The networks: the one that the nodes are in."""
    del caller
    base = str(web.daemon.state.table("device")[web.daemon.head].values["ip"]).rpartition(".")[0] + ".0"
    key = KEYS[web.daemon.profile].uuid
    told = {"baseType": "Network", "childType": "", key: web.uuids.top("network", "internalnet")}
    return [{**told, "name": "internalnet", "baseAddress": base, "netmaskBits": 24}]


def update(web: Web, caller: Caller, mode: str, told: object) -> Json:
    """Replace an object by the one that was sent; without ``modified: true`` nothing is written."""
    told = _object(told)
    own = str(told.get(KEYS[web.daemon.profile].uuid, ""))
    name = web.uuids.names(mode, web.daemon.state.table(mode)).get(own)
    if name is None:
        return _refused(web, [Problem(KEYS[web.daemon.profile].uuid, messages.gone(str(told.get("name", own))))], own)
    if told.get("modified") is not True:
        return done()
    base = web.daemon.state.table(mode)[name]
    read = Reader(web).top(told, base.kind, own, base)
    return _commit(web, caller, Change(mode, name, base, read.entity), read, own)


def add(web: Web, caller: Caller, mode: str, told: object, clone_data: object = None) -> Json:
    """Add an object; an image is filled in the background when `clone_data` is the uuid of the one to copy."""
    told = _object(told)
    kind, key = KINDS[mode], KEYS[web.daemon.profile].uuid
    called = MODES[mode].key
    own, name = told.get(key), told.get(called)
    if told.get("baseType") != TYPES[kind][0] or not isinstance(name, str) or not name:
        return _refused(web, [Problem(called, f"{called} is required")])
    if not is_v4(own):
        return _refused(web, [Problem(key, f"{key} is required")])
    read = Reader(web).top(told, kind, str(own), Entity(kind))
    source = find(web, mode, clone_data) if clone_data else ""
    if source is None:
        read.problems.append(Problem("cloneData", messages.dangling("software image", str(clone_data))))
    if mode == "softwareimage" and not read.entity.values.get("path"):
        read.entity.values["path"] = f"/cm/images/{name}"
    return _commit(web, caller, Change(mode, name, None, read.entity, source or ""), read, str(own))


def remove(web: Web, caller: Caller, mode: str, key: object, *, data: bool) -> Json:
    """Remove an object, an image with its files when `data` is set."""
    name = find(web, mode, key)
    if name is None:
        return _refused(web, [Problem("uuid", messages.gone(str(key)))])
    change = Change(mode, name, web.daemon.state.table(mode)[name], None, delete_data=data)
    return _commit(web, caller, change, Read(Entity("")), str(key))


def _refused(web: Web, problems: Iterable[Problem], entity: str = NIL) -> Json:
    return refused(problems, web.switch("texts"), entity)


def _object(told: object) -> Json:
    if not isinstance(told, dict):
        raise BadCallError("the argument is not an entity")
    return told


def _commit(web: Web, caller: Caller, change: Change, read: Read, own: str) -> Json:
    """Commit a change as cmsh does, and keep the uuids that the client made."""
    if read.problems:
        return _refused(web, read.problems, own)
    if not change.changed:
        return done()
    try:
        tasks = web.daemon.commit([change], caller.link)
    except RefusedError as refusal:
        return _refused(web, refusal.problems, own)
    if change.mine is not None and change.base is None:
        web.uuids.give("", change.mode, change.key, own)
    for parent, submode, name, chosen in read.uuids:
        web.uuids.give(parent, submode, name, chosen)
    return done(str(uuid.uuid4()) if tasks else NIL)
