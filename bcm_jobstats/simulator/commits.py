"""A commit: what a session changed is checked against the rules and merged into the state (bcm-facts §1.5, §2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.entities import Entity, merge
from bcm_jobstats.simulator.modes import MODES
from bcm_jobstats.simulator.noderanges import natural
from bcm_jobstats.simulator.resolver import IGNORED, names_in, priority_of
from bcm_jobstats.simulator.rolekinds import WLM_ROLES
from bcm_jobstats.simulator.state import State, Tables

FORBIDDEN_PRIORITIES = (250, 750)
REFERENCES = {"nodes": "device", "categories": "category"}


@dataclass
class Change:
    """One object as a session changed it: `base` is what it started from, `mine` what it made; None is no object."""

    mode: str
    name: str
    base: Optional[Entity]
    mine: Optional[Entity]
    cloned_from: str = ""
    delete_data: bool = False

    @property
    def key(self) -> str:
        """The name that the object has afterwards."""
        if self.mine is None:
            return self.name
        return str(self.mine.values.get(MODES[self.mode].key, self.name))

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return self.base != self.mine


@dataclass(frozen=True)
class Problem:
    """A row of a validation table."""

    field: str
    message: str
    of_role: bool = False


class RefusedError(Exception):
    """CMDaemon does not take the commit."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems[0].message)
        self.problems = problems


def applied(state: State, changes: Iterable[Change]) -> Tables:
    """The tables after the changes, or RefusedError. Only properties that changed are written: last writer wins."""
    changes = list(changes)
    tables = state.copy()
    problems = [problem for change in changes for problem in _apply(tables, change)]
    removed = [change for change in changes if change.mine is None or change.key != change.name]
    for change in removed:
        problems += _follow(tables, change)
    problems += [problem for change in changes for problem in problems_of(tables, change)]
    if problems:
        raise RefusedError(problems)
    return tables


def _apply(tables: Tables, change: Change) -> Iterator[Problem]:
    table = tables.setdefault(change.mode, {})
    current = table.get(change.name)
    if change.mine is None:
        table.pop(change.name, None)
    elif change.base is None:
        if change.key in table:
            yield Problem("name", messages.already_there(change.key))
        table[change.key] = change.mine.copy()
    elif current is None:
        yield Problem("name", messages.gone(change.name))
    else:
        if change.key != change.name:
            del table[change.name]
        table[change.key] = merge(change.base, change.mine, current)


def _follow(tables: Tables, change: Change) -> Iterator[Problem]:
    """References to an object that went or got another name: they are objects in BCM, so they follow."""
    new = None if change.mine is None else change.key
    for field, mode in REFERENCES.items():
        if mode == change.mode:
            _rewrite_lists(tables["configurationoverlay"], field, change.name, new)
    holders = {"category": ("device",), "softwareimage": ("category", "device")}.get(change.mode, ())
    field = "softwareimage" if change.mode == "softwareimage" else change.mode
    for holder in holders:
        for name, entity in tables[holder].items():
            if entity.values.get(field) != change.name:
                continue
            if new is None:
                yield Problem("name", messages.still_used(change.name, name))
                break
            tables[holder][name] = entity.copy()
            tables[holder][name].values[field] = new


def _rewrite_lists(overlays: dict[str, Entity], field: str, old: str, new: str | None) -> None:
    for name, overlay in overlays.items():
        names = names_in(overlay, field)
        if old in names:
            kept = [*(one for one in names if one != old), *([new] if new else [])]
            overlays[name] = overlay.copy()
            overlays[name].values[field] = tuple(sorted(kept, key=natural))


def problems_of(tables: Tables, change: Change) -> Iterator[Problem]:
    """What is wrong with an object as it would be after the commit."""
    entity = tables.get(change.mode, {}).get(change.key)
    if entity is None or change.mine is None:
        return
    if change.mode == "device" and entity.kind == "PhysicalNode":
        category = str(entity.values.get("category", ""))
        if not category:
            yield Problem("category", messages.CATEGORY_UNSET)
        elif category not in tables["category"]:
            yield Problem("category", messages.dangling("category", category))
    if change.mode in ("device", "category"):
        yield from _wlm_problems(entity, tables)
        yield from _image_problems(entity, tables)
    if change.mode == "configurationoverlay":
        yield from _overlay_problems(entity, tables)


def _image_problems(entity: Entity, tables: Tables) -> Iterator[Problem]:
    image = str(entity.values.get("softwareimage", ""))
    if image and image not in tables["softwareimage"]:
        yield Problem("softwareImage", messages.dangling("software image", image))


def _wlm_problems(entity: Entity, tables: Tables) -> Iterator[Problem]:
    for name, role in entity.entries("roles").items():
        cluster = str(role.values.get("wlmcluster", ""))
        if name in WLM_ROLES and not cluster:
            yield Problem("wlmCluster", messages.WLM_CLUSTER_UNSET, of_role=True)
        elif cluster and cluster not in tables["wlm"]:
            yield Problem("wlmCluster", messages.dangling("WLM cluster", cluster), of_role=True)


def _overlay_problems(entity: Entity, tables: Tables) -> Iterator[Problem]:
    priority = priority_of(entity)
    if priority != IGNORED and (not 0 <= priority <= 1000 or priority in FORBIDDEN_PRIORITIES):
        yield Problem("priority", messages.BAD_PRIORITY)
    for field, mode in REFERENCES.items():
        for name in names_in(entity, field):
            if name not in tables[mode]:
                yield Problem(field, messages.dangling(mode, name))
