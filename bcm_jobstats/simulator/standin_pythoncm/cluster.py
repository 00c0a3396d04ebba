"""The cluster: entities by name and type, fresh copies at every call (bcm-facts §7)."""

from __future__ import annotations

from typing import Any

from . import entity
from .entity import Entity, Result
from .release import KEY, VERSION
from .rpc import Rpc
from .settings import Settings, of_head

READ = {
    "Device": ("cmdevice", "getDevices"),
    "Category": ("cmdevice", "getCategories"),
    "SoftwareImage": ("cmpart", "getSoftwareImages"),
    "ConfigurationOverlay": ("cmdevice", "getConfigurationOverlays"),
    "WlmCluster": ("cmjob", "getWlmClusters"),
}
NODES = ("PhysicalNode", "HeadNode", "LiteNode")
WRITE = {name: service for name, (service, _) in READ.items() if name != "WlmCluster"}


class VersionMismatchError(Exception):
    """This pythoncm and the head node are not of the same version."""


class Cluster:
    """A connection to the head node; without settings, to the one on which this pythoncm is installed."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._rpc = Rpc(settings or of_head())
        version = self._rpc.version()
        if version != VERSION:
            raise VersionMismatchError(f"pythoncm is {VERSION}, the head node {version}")
        self._known: dict[str, dict[str, Entity]] = {}
        entity.CONNECTED[:] = [self]

    def get_by_name(self, name: str, type: str | type[Entity] | None = None) -> Entity | None:
        """The entity of a name, of a type when one is given: name first, type second. None when there is none."""
        wanted = [_type_name(type)] if type is not None else list(READ)
        found = (one for each in wanted for one in self.get_by_type(each) if str(one) == name)
        return next(found, None)

    def get_by_type(self, type: str | type[Entity]) -> list[Entity]:
        """All entities of a type; Node is every node. Of an unknown type there are none."""
        name = _type_name(type)
        nodes = NODES if name == "Node" else (name,) if name in NODES else ()
        base = "Device" if nodes else name
        if base not in READ:
            return []
        found = self._read(base)
        return [one for one in found if not nodes or one.childType in nodes]

    def write(self, told: dict[str, Any], *, new: bool) -> Result:
        """Commit a whole entity."""
        base = str(told["baseType"])
        if base not in WRITE:
            return Result({"success": False, "validation": [{"field": base, "message": "no such call"}]})
        answer = self._rpc.call(WRITE[base], ("add" if new else "update") + base, {**told, "modified": True})
        return Result(answer if isinstance(answer, dict) else {})

    def erase(self, told: dict[str, Any]) -> Result:
        """Remove an object."""
        base = str(told["baseType"])
        if base not in WRITE:
            return Result({"success": False, "validation": [{"field": base, "message": "no such call"}]})
        answer = self._rpc.call(WRITE[base], f"remove{base}", told[KEY])
        return Result(answer if isinstance(answer, dict) else {})

    def _read(self, base: str) -> list[Entity]:
        told = self._rpc.call(*READ[base])
        made = [entity.from_json(one, self) for one in told]
        self._known[base] = {getattr(one, KEY): one for one in made}
        for one in made:
            self._resolve(one)
        return made

    def _resolve(self, one: Entity) -> None:
        """Put entities in the place of their keys, here and in sub-entities."""
        values = one.__dict__["_values"]
        for name, value in values.items():
            kind = entity.REFERENCES.get(name)
            if kind is not None:
                values[name] = (
                    [self._other(kind, key) for key in value] if isinstance(value, list) else (self._other(kind, value))
                )
            else:
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, Entity):
                        self._resolve(child)

    def _other(self, kind: str, key: Any) -> Any:
        """The entity that a key means; read once, and again when it is not among the known."""
        if not isinstance(key, str):
            return key
        if key not in self._known.get(kind, {}):
            self._read(kind)
        return self._known[kind].get(key, key)


def _type_name(type: str | type[Entity]) -> str:
    return type if isinstance(type, str) else type.__name__
