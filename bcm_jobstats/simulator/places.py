"""Where a session is: a mode, an object, a submode, an object in it; and what it sees and changes there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Callable, Optional

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.drafts import Drafts
from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.kinds import SERVICE
from bcm_jobstats.simulator.modes import MODES
from bcm_jobstats.simulator.resolver import CATEGORY_PRIORITY, NODE, OVERLAY, Held
from bcm_jobstats.simulator.schema import Schema, Submode
from bcm_jobstats.simulator.services import ROLE_MARK, Services, merged
from bcm_jobstats.simulator.state import State

NO_ENTRIES: dict[str, Entity] = {}


@dataclass(frozen=True)
class Level:
    """One step of the path: a mode or submode, and the object in use there."""

    mode: str
    chosen: Optional[str] = None
    range: str = ""
    """The selection of a `range`, as told in the prompt: ``-c default`` (bcm-facts §1.3, §1.6)."""

    @property
    def told(self) -> str:
        """What prompts call the mode."""
        return MODES[self.mode].told or self.mode if self.mode in MODES else self.mode


class Places:
    """The path of a session over its drafts."""

    def __init__(self, drafts: Drafts, catalogue: Mapping[str, Schema]) -> None:
        self.drafts = drafts
        self.catalogue = catalogue
        self.levels: list[Level] = []
        self.state: State
        self.services_on: Callable[[], bool] = lambda: True

    @property
    def here(self) -> Level:
        """The innermost level."""
        if not self.levels:
            raise messages.no_object()
        return self.levels[-1]

    @property
    def ranged(self) -> bool:
        """Whether a `range` is in force."""
        return bool(self.levels) and bool(self.levels[0].range)

    def schema(self, entity: Entity) -> Schema:
        """The schema of an object."""
        return self.catalogue[entity.kind]

    def submode(self) -> Submode | None:
        """What this level is within its parent; None at a top-level mode."""
        if len(self.levels) < 2:
            return None
        return self.schema(self.read(self.levels[:-1])).submodes.get(self.here.mode)

    def entries(self, levels: list[Level] | None = None) -> Mapping[str, Entity]:
        """The objects at a level, as the session sees them; those that a role brings are not among them."""
        levels = self.levels if levels is None else levels
        if not levels:
            return NO_ENTRIES
        if len(levels) == 1:
            return self.drafts.table(levels[0].mode)
        return self.read(levels[:-1]).entries(levels[-1].mode)

    def read(self, levels: list[Level] | None = None) -> Entity:
        """The object in use at a level."""
        levels = self.levels if levels is None else levels
        if not levels or levels[-1].chosen is None:
            raise messages.no_object()
        found = self.find(levels[-1].chosen, levels)
        if found is None:
            raise messages.no_such(self.what(levels), levels[-1].chosen)
        return found

    def find(self, name: str, levels: list[Level] | None = None) -> Entity | None:
        """An object at a level by name. On a node a service that comes from a role or category counts."""
        levels = self.levels if levels is None else levels
        if len(levels) == 1:
            return self.drafts.get(levels[0].mode, name)
        found = self.entries(levels).get(name)
        if found is None and levels[-1].mode == "services":
            looked = self.services(levels).get(name)
            return looked.entity if looked else None
        return found

    def edit(self, levels: list[Level] | None = None) -> Entity:
        """The object in use at a level, as a copy of the session's own."""
        levels = self.levels if levels is None else levels
        top = levels[0]
        entity = self.drafts.edit(top.mode, str(top.chosen)) if top.chosen else None
        for level in levels[1:]:
            if entity is None or level.chosen is None:
                raise messages.no_object()
            inner = entity.within(level.mode)
            if level.chosen not in inner:
                inner[level.chosen] = self._own_service(levels)
            entity = inner[level.chosen]
        if entity is None:
            raise messages.no_object()
        return entity

    def _own_service(self, levels: list[Level]) -> Entity:
        """A service that the object only inherits gets an entry of its own when it is changed there."""
        name = str(levels[-1].chosen)
        looked = self.services(levels).get(name) if levels[-1].mode == "services" else None
        if looked is None:
            raise messages.no_such(self.what(levels), name)
        return looked.entity.copy()

    def services(self, levels: list[Level] | None = None) -> Services:
        """The services in effect on the node or category of a services level (bcm-facts §3.3)."""
        levels = self.levels if levels is None else levels
        holder = self.read(levels[:-1])
        if levels[0].mode == "category":
            return merged((), holder)
        category = self.state.table("category").get(str(holder.values.get("category", "")))
        roles = self.state.resolver.roles_of(str(levels[0].chosen), holder)
        return merged(roles.values(), category, holder, on=self.services_on())

    def held_roles(self) -> list[Held]:
        """The roles that `list` shows on a node or category: own and inherited ones."""
        top, holder = self.levels[0], self.read(self.levels[:-1])
        resolver = self.state.resolver
        if top.mode == "device":
            return list(resolver.roles_of(str(top.chosen), holder).values())
        inherited = [held for held in resolver.category_roles(str(top.chosen)).values() if held.source == OVERLAY]
        own = [
            Held(name, role, NODE, str(top.chosen), CATEGORY_PRIORITY) for name, role in holder.entries("roles").items()
        ]
        return own + inherited

    def what(self, levels: list[Level] | None = None) -> str:
        """What the objects at a level are called in messages."""
        levels = self.levels if levels is None else levels
        return MODES[levels[-1].mode].what if len(levels) == 1 else levels[-1].mode.rstrip("s")

    def prompt(self, host: str) -> str:
        """``[bcm-head->configurationoverlay*[slurm-client*]->roles*[slurmclient*]]%`` (bcm-facts §1.3)."""
        steps = [host]
        for level, (mode_mark, object_mark) in zip(self.levels, self._marks()):
            chosen = f"[{level.chosen}{object_mark}]" if level.chosen not in (None, level.mode) else ""
            steps.append(level.told + mode_mark + (f"{{{level.range}}}" if level.range else chosen))
        return "[" + "->".join(steps) + "]% "

    def _marks(self) -> Iterator[tuple[str, str]]:
        """The asterisks of every level: for its objects, and for the one in use, when they have changes."""
        change = None
        old: Entity | None = None
        new: Entity | None = None
        for depth, level in enumerate(self.levels):
            if depth == 0:
                change = self.drafts.of(level.mode, str(level.chosen))
                old, new = (change.base, change.mine) if change else (None, None)
                objects_changed = bool(self.drafts.pending(level.mode))
            else:
                before, after = (each.entries(level.mode) if each else {} for each in (old, new))
                objects_changed = before != after
                old, new = (entries.get(str(level.chosen)) for entries in (before, after))
            yield "*" if objects_changed else "", "*" if old != new else ""


def is_role_service(entity: Entity) -> bool:
    """Whether an entry stands for a service of a role."""
    return entity.kind == SERVICE and entity.values.get(ROLE_MARK) == "yes"
