"""Objects as JSON (bcm-facts §8.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.json_fields import (
    IMAGE_PROXY,
    KEYS,
    MASKS,
    Attribute,
    attributes,
    base_type,
    child_type,
    has_image,
    lists,
)
from bcm_jobstats.simulator.kinds import SERVICE
from bcm_jobstats.simulator.rolekinds import GENERIC
from bcm_jobstats.simulator.schema import BOOL, CHOICE, NUMBER
from bcm_jobstats.simulator.services import ROLE_MARK

if TYPE_CHECKING:
    from bcm_jobstats.simulator.http_web import Web

Json = dict[str, Any]


class Writer:
    """Turns the objects of one state into JSON."""

    def __init__(self, web: Web) -> None:
        self._uuids = web.uuids
        self._profile = web.daemon.profile
        self._copying = web.copying
        self._by_name = web.switch("json_references") == "name"
        self._bare = web.switch("json_generic_name") == "bare"
        self._keys = KEYS[self._profile]

    def top(self, mode: str, name: str, entity: Entity) -> Json:
        """An object of a mode, with all that is in it."""
        told = self._entity(entity, self._uuids.top(mode, name))
        if mode == "softwareimage":
            told["fileOperationInProgress"] = name in self._copying()
        elif mode == "configurationoverlay":
            told["customizationFiles"] = []
        elif mode == "device":
            told["interfaces"] = [self._interface(told[self._keys.uuid], entity)]
        elif mode == "wlm":
            told["cgroups"] = self._single(told[self._keys.uuid], "cgroups", entity)
        return told

    def basic(self, mode: str, name: str, entity: Entity) -> Json:
        """What getBasicEntityInformation tells of an object (its exact shape is not documented)."""
        types = {"baseType": base_type(entity.kind), "childType": child_type(entity.kind)}
        return {**types, self._keys.uuid: self._uuids.top(mode, name), "name": name}

    def _entity(self, entity: Entity, own: str, parent: str = "") -> Json:
        kind, keys = entity.kind, self._keys
        told: Json = {"baseType": base_type(kind), "childType": child_type(kind), keys.uuid: own}
        if keys.parent and parent:
            told[keys.parent] = parent
        if not keys.parent:
            told["oldLocalUniqueKey"] = 0
        told.update({"revision": "", "modified": False, keys.removed: False, "extra_values": entity.extra or None})
        for attribute in attributes(self._profile, kind):
            told[attribute.name] = self._value(attribute, entity)
        if has_image(self._profile, kind):
            told[IMAGE_PROXY] = self._image(str(entity.values.get("softwareimage", "")), own)
        for submode, name in lists(self._profile, kind).items():
            told[name] = [
                self._entity(child, self._uuids.under(own, submode, key), own)
                for key, child in entity.entries(submode).items()
            ]
        if kind == SERVICE:
            told["addFromRole"] = entity.values.get(ROLE_MARK) == "yes"
        elif kind == "GenericRole":
            told["provisioningAssociations"] = []
            told["name"] = told["name"][len(GENERIC) :] if self._bare else told["name"]
        return told

    def _value(self, attribute: Attribute, entity: Entity) -> Any:
        field = attribute.field
        value = entity.values.get(field.name, field.default)
        if attribute.refers:
            if field.many:
                return [self._refer(attribute.refers, name) for name in value]
            return self._refer(attribute.refers, str(value))
        if field.many:
            return list(value)
        if field.type == BOOL:
            return value == "yes"
        if field.type == NUMBER or (field.name in MASKS and str(value).isdigit()):
            return int(str(value) or 0)
        return str(value).upper() if field.type == CHOICE and field.name == "runif" else value

    def _refer(self, mode: str, name: str) -> Optional[str]:
        if not name:
            return None
        return name if self._by_name else self._uuids.top(mode, name)

    def _image(self, name: str, own: str) -> Optional[Json]:
        """The proxy of a software image: its uuid whatever the switch says (bcm-facts §6)."""
        if not name:
            return None
        proxy = {"baseType": "SoftwareImageProxy", self._keys.uuid: self._uuids.under(own, IMAGE_PROXY, "")}
        return {**proxy, "parentSoftwareImage": self._uuids.top("softwareimage", name)}

    def _interface(self, own: str, device: Entity) -> Json:
        types = {"baseType": "NetworkInterface", "childType": "NetworkPhysicalInterface"}
        network = self._refer("network", str(device.values.get("network", "internalnet")))
        told = {self._keys.uuid: self._uuids.under(own, "interfaces", "BOOTIF"), "name": "BOOTIF"}
        return {**types, **told, "ip": str(device.values.get("ip", "")), "network": network}

    def _single(self, own: str, submode: str, entity: Entity) -> Optional[Json]:
        for name, child in entity.entries(submode).items():
            return self._entity(child, self._uuids.under(own, submode, name), own)
        return None
