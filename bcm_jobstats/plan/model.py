"""A plan as data: changes, conflicts, notes, and the file it is saved in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from bcm_jobstats import __version__
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.plan.resource import Found, State

CREATE, UPDATE, DELETE, ADOPT = "create", "update", "delete", "adopt"
MARKS = {CREATE: "+", UPDATE: "~", DELETE: "-", ADOPT: "~"}
FORMAT_VERSION = "1.0"
"""Of the plan file: an unknown major is refused, unknown properties of a minor are ignored."""


class PlanFileError(JobstatsError):
    """A saved plan that cannot be read."""


@dataclass(frozen=True)
class Change:
    """One step: `before` is None when the thing is created, `after` is None when it is removed.

    `mark` names the field that only says whose the thing is.
    """

    action: str
    address: str
    before: State | None
    after: State | None
    reason: str = ""
    mark: str = ""

    @property
    def kind(self) -> str:
        """The kind of resource."""
        return self.address.partition(".")[0]

    @property
    def name(self) -> str:
        """The resource's name within its kind."""
        return self.address.partition(".")[2]

    def fields(self) -> list[str]:
        """The fields that differ, sorted."""
        before, after = self.before or {}, self.after or {}
        return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


@dataclass(frozen=True)
class Conflict:
    """Something of an administrator's stands where ours should be."""

    address: str
    found: State
    wanted: State


@dataclass(frozen=True)
class Plan:
    """What would change, what stands in the way, and the fingerprint of everything that was read."""

    changes: tuple[Change, ...]
    conflicts: tuple[Conflict, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    purpose: str = "apply"
    about: Mapping[str, str] = field(default_factory=dict)

    def counts(self) -> tuple[int, int, int]:
        """How many things are added, changed and destroyed."""
        actions = [change.action for change in self.changes]
        return actions.count(CREATE), actions.count(UPDATE) + actions.count(ADOPT), actions.count(DELETE)

    def to_json(self) -> dict[str, Any]:
        """The plan file's document."""
        return {"format_version": FORMAT_VERSION, "tool_version": __version__, **asdict(self)}


def load(path: Path) -> Plan:
    """Read a saved plan; PlanFileError says what is wrong with it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if str(document["format_version"]).split(".")[0] != FORMAT_VERSION.split(".", maxsplit=1)[0]:
            raise PlanFileError(
                str(path),
                f"format {document['format_version']} is not known to version {__version__}",
                "Make a new plan with: bcm-jobstats plan --out FILE",
            )
        if {change["action"] for change in document["changes"]} - MARKS.keys():
            raise ValueError("unknown action")
        return Plan(
            tuple(Change(**_known(Change, change)) for change in document["changes"]),
            tuple(Conflict(**_known(Conflict, conflict)) for conflict in document["conflicts"]),
            document["fingerprint"],
            tuple(document["notes"]),
            tuple(document["problems"]),
            document["purpose"],
            document["about"],
        )
    except OSError as error:
        raise PlanFileError(str(path), error.strerror or "cannot be read", "Check the file's name.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PlanFileError(str(path), "is not a plan file", "Make one with: bcm-jobstats plan --out FILE") from error


def _known(kind: type, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: properties[field.name] for field in fields(kind) if field.name in properties}


def fingerprint(readings: Mapping[str, Mapping[str, Found]], wanted: Mapping[str, State | None]) -> str:
    """A digest of everything a plan was made from: what was read, and what was wanted (address -> state), which
    follows from the cluster too. Two equal digests mean that nothing changed meanwhile."""
    plain = {
        kind: {name: [thing.values, thing.ours] for name, thing in found.items()} for kind, found in readings.items()
    }
    text = json.dumps([plain, {address: state and dict(state) for address, state in wanted.items()}], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
