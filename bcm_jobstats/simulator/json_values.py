"""The plain attributes of objects, from JSON: what type each has, and what a reference means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bcm_jobstats.simulator.entities import Entity, Value
from bcm_jobstats.simulator.json_fields import IMAGE_PROXY, MASKS, Attribute, has_image
from bcm_jobstats.simulator.noderanges import natural
from bcm_jobstats.simulator.schema import BOOL, CATEGORIES, CHOICE, NODES, NUMBER

if TYPE_CHECKING:
    from bcm_jobstats.simulator.http_web import Web


class BadlyTypedError(Exception):
    """An attribute does not hold what it should."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has a bad value")
        self.name = name


class Values:
    """Takes attributes over into entities; one that is not right is a BadlyTypedError."""

    def __init__(self, web: Web) -> None:
        self._uuids = web.uuids
        self._state = web.daemon.state
        self._profile = web.daemon.profile
        self._by_name = web.switch("json_references") == "name"

    def set(self, attribute: Attribute, told: dict[str, Any], into: Entity) -> None:
        """Take over one attribute; one that was not sent gets its default, as the object is the whole object."""
        shown = attribute.field
        value = self._value(attribute, told[attribute.name]) if attribute.name in told else shown.default
        if value == shown.default and shown.name not in ("name", "hostname", "service"):
            into.values.pop(shown.name, None)
        elif value != into.values.get(shown.name):
            into.values[shown.name] = value

    def _value(self, attribute: Attribute, value: Any) -> Value:
        shown = attribute.field
        if shown.many:
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise BadlyTypedError(attribute.name)
            names = [self._referred(attribute, one) for one in value]
            return tuple(sorted(set(names), key=natural) if shown.type in (NODES, CATEGORIES) else names)
        if shown.type == BOOL:
            return _checked(attribute, value, bool, "yes" if value else "no")
        if shown.name in MASKS:
            return _checked(attribute, value, int, f"{value:04}" if isinstance(value, int) else "")
        if shown.type == NUMBER:
            number = _checked(attribute, value, int, str(value))
            return shown.default if number == "0" and not shown.default else number
        if value is None and attribute.refers:
            return ""
        text = str(_checked(attribute, value, str, value))
        if shown.type == CHOICE:
            return _choice(attribute, text)
        return self._referred(attribute, text) if text else ""

    def _referred(self, attribute: Attribute, value: str) -> str:
        """The name of the object that a reference means: by uuid, or by name when the switch says so."""
        if not attribute.refers:
            return value
        table = self._state.table(attribute.refers)
        if self._by_name and value in table:
            return value
        found = None if self._by_name else self._uuids.names(attribute.refers, table).get(value)
        if found is None:
            raise BadlyTypedError(attribute.name)
        return found

    def set_image(self, told: dict[str, Any], into: Entity) -> None:
        """Take over the software image, which is in a proxy and always by uuid (bcm-facts §6)."""
        if not has_image(self._profile, into.kind):
            return
        proxy = told.get(IMAGE_PROXY)
        wanted = proxy.get("parentSoftwareImage") if isinstance(proxy, dict) else None
        into.values.pop("softwareimage", None)
        if wanted is None or wanted == "":
            return
        name = self._uuids.names("softwareimage", self._state.table("softwareimage")).get(str(wanted))
        if name is None:
            raise BadlyTypedError(IMAGE_PROXY)
        into.values["softwareimage"] = name


def _checked(attribute: Attribute, value: Any, wanted: type, told: str) -> str:
    """`told`, when the value has the wanted type; true and false are no numbers."""
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise BadlyTypedError(attribute.name)
    return told


def _choice(attribute: Attribute, text: str) -> str:
    for word in attribute.field.choices:
        if word.lower() == text.lower():
            return word
    raise BadlyTypedError(attribute.name)
