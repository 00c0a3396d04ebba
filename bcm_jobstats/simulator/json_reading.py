"""JSON as objects: whole entities, whose sub-entities are silently dropped when they are not right (bcm-facts §8.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from bcm_jobstats.simulator.commits import Problem
from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.json_fields import KEYS, TYPES, attributes, lists
from bcm_jobstats.simulator.json_uuids import is_v4
from bcm_jobstats.simulator.json_values import BadlyTypedError, Values
from bcm_jobstats.simulator.kinds import schemas
from bcm_jobstats.simulator.rolekinds import GENERIC, ROLE_KINDS, role_kind

if TYPE_CHECKING:
    from bcm_jobstats.simulator.http_web import Web

_ROLES = {"GenericRole", *ROLE_KINDS.values()}
_BASES = {
    "roles": "Role",
    "services": "OSServiceConfig",
    "configurations": "GenericRoleConfiguration",
    "environments": "GenericRoleEnvironment",
    "excludelistsnippets": "ExcludeListSnippet",
}


@dataclass
class Read:
    """An object as a client sent it: the entity, what is wrong with it, and the uuids of its new sub-entities."""

    entity: Entity
    problems: list[Problem] = field(default_factory=list)
    uuids: list[tuple[str, str, str, str]] = field(default_factory=list)


class Reader:
    """Turns JSON into objects, over the state as it is."""

    def __init__(self, web: Web) -> None:
        self._values = Values(web)
        self._uuids = web.uuids
        self._profile = web.daemon.profile
        self._keys = KEYS[self._profile]

    def top(self, told: dict[str, Any], kind: str, own: str, base: Entity) -> Read:
        """A whole object over `base`: what JSON does not show of it stays."""
        read = Read(base.copy())
        for attribute in attributes(self._profile, kind):
            try:
                self._values.set(attribute, told, read.entity)
            except BadlyTypedError as error:
                read.problems.append(Problem(error.name, str(error)))
        try:
            self._values.set_image(told, read.entity)
        except BadlyTypedError as error:
            read.problems.append(Problem(error.name, str(error)))
        read.entity.extra = _extra(told)
        self._children(told, read.entity, base, own, read)
        return read

    def _children(self, told: dict[str, Any], into: Entity, base: Optional[Entity], own: str, read: Read) -> None:
        for submode, name in lists(self._profile, into.kind).items():
            known = {} if base is None else base.entries(submode)
            by_uuid = {self._uuids.under(own, submode, key): key for key in known}
            fresh: dict[str, Entity] = {}
            sent = told.get(name)
            for one in sent if isinstance(sent, list) else ():
                old = by_uuid.get(str(one.get(self._keys.uuid))) if isinstance(one, dict) else None
                found = self._child(one, submode, None if old is None else known[old])
                if found is None:
                    continue
                key, child = found
                if key in fresh:
                    read.problems.append(Problem(name, f"Duplicate {name} {key}"))
                fresh[key] = child
                mine = str(one[self._keys.uuid])
                read.uuids.append((own, submode, key, mine))
                self._children(one, child, None if old is None else known[old], mine, read)
            into.children[submode] = fresh

    def _child(self, told: Any, submode: str, old: Optional[Entity]) -> Optional[tuple[str, Entity]]:
        """One sub-entity; it is dropped without a word unless its type, name, uuid and attributes are right."""
        kind = self._kind(told, submode)
        if kind is None or told.get(self._keys.removed) is True or (old is None and not is_v4(told[self._keys.uuid])):
            return None
        child = old.copy() if old is not None and old.kind == kind else Entity(kind)
        try:
            for attribute in attributes(self._profile, kind):
                self._values.set(attribute, told, child)
        except BadlyTypedError:
            return None
        name = str(child.values.get(schemas(self._profile)[kind].key, ""))
        if submode == "roles":
            name = self._role_name(name, kind)
            child.values["name"] = name
        if not name or (submode == "roles" and role_kind(name) != kind):
            return None
        child.extra = _extra(told)
        return name, child

    def _kind(self, told: Any, submode: str) -> Optional[str]:
        """The kind that a sub-entity says it is, or None when the place has nothing of that kind."""
        if not isinstance(told, dict) or told.get("baseType") != _BASES[submode] or self._keys.uuid not in told:
            return None
        child = told.get("childType") or ""
        if submode == "roles":
            return child if isinstance(child, str) and child in _ROLES else None
        if submode == "configurations":
            return next((kind for kind, types in TYPES.items() if child and types == (_BASES[submode], child)), None)
        return _BASES[submode] if child in ("", _BASES[submode]) else None

    @staticmethod
    def _role_name(name: str, kind: str) -> str:
        """cmsh's name of a role: a generic one has its prefix, whether or not JSON shows it (by a switch)."""
        generic = kind == "GenericRole" and name and not name.startswith(GENERIC)
        return GENERIC + name if generic else name


def _extra(told: dict[str, Any]) -> dict[str, str]:
    extra = told.get("extra_values")
    return {str(key): str(value) for key, value in extra.items()} if isinstance(extra, dict) else {}
