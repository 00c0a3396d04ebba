"""The overlay engine: which roles a node has in effect, and from where (bcm-facts §2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bcm_jobstats.simulator.entities import Entity

NODE_PRIORITY, CATEGORY_PRIORITY, DEFAULT_PRIORITY, IGNORED = 750, 250, 500, -1
FIRST, LAST = "first", "last"
NODE, OVERLAY, CATEGORY = "node", "overlay", "category"


@dataclass(frozen=True)
class Held:
    """A role that something has: the role, what it comes from, and with which priority."""

    name: str
    role: Entity
    source: str
    holder: str
    priority: int

    def told(self, *, with_priority: bool) -> str:
        """The role as `list` prints it on a node: own roles bare, inherited ones with a prefix (bcm-facts §1.7)."""
        if self.source == NODE:
            return f"[{self.priority}] {self.name}" if with_priority else self.name
        mark = f":{self.priority}" if with_priority else ""
        return f"[{self.source}:{self.holder}{mark}] {self.name}"


Roles = dict[str, Held]


def priority_of(overlay: Entity) -> int:
    """The priority of an overlay, 500 unless set."""
    return int(str(overlay.values.get("priority") or DEFAULT_PRIORITY))


def names_in(entity: Entity, field: str) -> tuple[str, ...]:
    """The names in a list field."""
    found = entity.values.get(field, ())
    return found if isinstance(found, tuple) else (found,)


class Resolver:
    """Effective roles of nodes and categories in one state: the highest priority wins, per whole role.

    Two overlays of one priority that give the same role are undocumented (bcm-facts §13 #16); here the one that
    comes first (or last) in the alphabet wins.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, Entity]], equal_priority: str = FIRST) -> None:
        self._last = equal_priority == LAST
        self.devices = tables.get("device", {})
        self._categories = tables.get("category", {})
        self.overlays = tables.get("configurationoverlay", {})
        self._by_node: dict[str, list[str]] = defaultdict(list)
        self._by_category: dict[str, list[str]] = defaultdict(list)
        self._heads: list[str] = []
        self._shared: dict[str, Roles] = {}
        self._resolved: dict[str, Roles] = {}
        self._index()

    def _index(self) -> None:
        for name in sorted(self.overlays):
            overlay = self.overlays[name]
            if priority_of(overlay) == IGNORED:
                continue
            if overlay.values.get("allheadnodes") == "yes":
                self._heads.append(name)
            for node in names_in(overlay, "nodes"):
                self._by_node[node].append(name)
            for category in names_in(overlay, "categories"):
                self._by_category[category].append(name)

    def roles(self, node: str) -> Roles:
        """The effective roles of a node by name. Nodes with nothing of their own share their category's answer."""
        device = self.devices.get(node)
        return self.roles_of(node, device) if device is not None else {}

    def roles_of(self, node: str, device: Entity) -> Roles:
        """The effective roles of a node as `device` describes it, which may be a session's changed copy."""
        category = "" if device.kind == "HeadNode" else str(device.values.get("category", ""))
        inherited = self._inherited(device.kind, category)
        own = device.entries("roles")
        direct = self._by_node.get(node)
        if not own and not direct:
            return inherited
        if device is not self.devices.get(node):
            return self._with_own(node, inherited, own, direct or ())
        if node not in self._resolved:
            self._resolved[node] = self._with_own(node, inherited, own, direct or ())
        return self._resolved[node]

    def _with_own(self, node: str, inherited: Roles, own: Mapping[str, Entity], direct: Iterable[str]) -> Roles:
        held = [*inherited.values(), *self._of_overlays(direct)]
        held += [Held(name, role, NODE, node, NODE_PRIORITY) for name, role in own.items()]
        return _winners(held, last=self._last)

    def category_roles(self, category: str) -> Roles:
        """The roles of a category: its own, and those of overlays that name it (bcm-facts §1.7)."""
        return self._inherited("PhysicalNode", category)

    def _inherited(self, kind: str, category: str) -> Roles:
        key = f"{kind}:{category}"
        if key not in self._shared:
            entity = self._categories.get(category)
            own = {} if entity is None else entity.entries("roles")
            held = [Held(name, role, CATEGORY, category, CATEGORY_PRIORITY) for name, role in own.items()]
            held += self._of_overlays(self._by_category.get(category, ()) if category else ())
            held += self._of_overlays(self._heads if kind == "HeadNode" else ())
            self._shared[key] = _winners(held, last=self._last)
        return self._shared[key]

    def _of_overlays(self, names: Iterable[str]) -> list[Held]:
        return [
            Held(name, role, OVERLAY, overlay, priority_of(self.overlays[overlay]))
            for overlay in names
            for name, role in self.overlays[overlay].entries("roles").items()
        ]

    def members(self, overlay: Entity) -> set[str]:
        """The nodes of an overlay: its nodes, those of its categories, and all head nodes when it says so."""
        wanted, categories = set(names_in(overlay, "nodes")), set(names_in(overlay, "categories"))
        heads = overlay.values.get("allheadnodes") == "yes"
        return {
            name
            for name, device in self.devices.items()
            if name in wanted
            or (heads and device.kind == "HeadNode")
            or (device.kind != "HeadNode" and device.values.get("category") in categories)
        }

    def with_role(self, role: str) -> list[str]:
        """Every node that has a role however it was inherited (`foreach -l`)."""
        return [name for name in self.devices if role in self.roles(name)]


def _winners(held: Iterable[Held], *, last: bool) -> Roles:
    best: Roles = {}
    for one in held:
        known = best.get(one.name)
        if known is None or one.priority > known.priority or _goes_first(one, known, last=last):
            best[one.name] = one
    return best


def _goes_first(one: Held, known: Held, *, last: bool) -> bool:
    equal = one.priority == known.priority and one.holder != known.holder
    return equal and (one.holder > known.holder) == last
