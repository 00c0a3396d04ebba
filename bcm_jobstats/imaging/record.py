"""What was built for a category and how far its rollout is: kept on shared storage, so that any head can go on.

The one thing BCM cannot tell: which image a category had before, and which nodes were seen to work on the new one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from bcm_jobstats.imaging.manifest import BadManifest, Manifest
from bcm_jobstats.imaging.trees import Tree

CLONING, BUILDING, BUILT, ROLLING, DONE, RETURNING = "cloning", "building", "built", "rolling", "done", "returning"
STAGES = (CLONING, BUILDING, BUILT, ROLLING, DONE, RETURNING)
GRABBING = "grabbing"
"""Stands for the digest in the record of a clone that was found whole, until the grab into it was looked at."""
MOVED, UPDATED, VERIFIED, FAILED = "moved", "updated", "verified", "failed"
"""A node that uses the new image, that was synced with it, that passed its health gate, that did not."""


@dataclass(frozen=True)
class NodeRecord:
    """One node of a rollout: the image it had of its own ("": its category's), how far it is, why it failed."""

    former: str
    state: str
    reason: str = ""


@dataclass(frozen=True)
class Record:
    """The image built for a category. `source` is the image that the category had, and the same as `image` when it was
    changed in place; `digest` is that of the image's manifest when its build ended. `before`: the rollout that brought
    the category to `source`, to which a way back leads too."""

    category: str
    source: str
    image: str
    stage: str
    digest: str = ""
    nodes: Mapping[str, NodeRecord] = field(default_factory=dict)
    before: Optional[Record] = None

    @property
    def chain(self) -> tuple[Record, ...]:
        """This record and those before it."""
        return (self, *(self.before.chain if self.before else ()))

    @property
    def unfinished(self) -> bool:
        """Whether a build or a rollout was begun and has not reached its end."""
        return self.stage != DONE

    def at(self, stage: str, **changes: Any) -> Record:
        """The record at another stage."""
        return dataclasses.replace(self, stage=stage, **changes)

    def with_nodes(self, nodes: Mapping[str, NodeRecord]) -> Record:
        """The record with what is new of some nodes."""
        return dataclasses.replace(self, nodes={**self.nodes, **nodes})


class Records:
    """The records of all categories, in the manifest on shared storage."""

    def __init__(self, shared: Tree) -> None:
        self.shared = shared

    def all(self) -> dict[str, Record]:
        """category -> record; raises BadManifest."""
        manifest = self._manifest()
        try:
            return {category: _record(category, told) for category, told in sorted(manifest.images.items())}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            cause = f"has a record of an image that cannot be read ({error})"
            remedy = "Restore it from backup, or take `images` out of it."
            raise BadManifest(str(manifest.file), cause, remedy) from error

    def of(self, category: str) -> Optional[Record]:
        """The record of one category, if there is one."""
        return self.all().get(category)

    def save(self, record: Record) -> Record:
        """Write a record, durably; returns it."""
        manifest = self._manifest()
        manifest.images[record.category] = dataclasses.asdict(record)
        manifest.save()
        return record

    def remove(self, category: str) -> None:
        """Forget the record of a category, if there is one."""
        manifest = self._manifest()
        if manifest.images.pop(category, None) is not None:
            manifest.drop_parents()
            manifest.save()

    def end(self, record: Record) -> None:
        """A record has served its purpose: the one before it counts again, if there is one."""
        if record.before:
            self.save(record.before)
        else:
            self.remove(record.category)

    def _manifest(self) -> Manifest:
        return Manifest(self.shared.root, self.shared.manifest)


def _record(category: str, told: Mapping[str, Any]) -> Record:
    nodes = {name: NodeRecord(**node) for name, node in told["nodes"].items()}
    if told["stage"] not in STAGES:
        raise ValueError(f"no stage {told['stage']!r}")
    before = _record(category, told["before"]) if told.get("before") else None
    return Record(category, told["source"], told["image"], told["stage"], told["digest"], nodes, before)
