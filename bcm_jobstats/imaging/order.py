"""Which image a build makes, and from what: decided before anything is changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Optional

from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.record import BUILDING, BUILT, CLONING, Record
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.site.problems import did_you_mean

SUFFIX = "-jobstats"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""What an image of ours may be called: it becomes a directory, and goes through cmsh."""
IMAGES = "/cm/images"
"""Where BCM puts images (bcm-facts §6); where the clone really lies is read from BCM."""
_BASE = re.compile(rf"(.+?){SUFFIX}(-\d+)?")


class CannotBuild(JobstatsError):
    """There is nothing that could be built for a category, or not now, or not under that name."""


@dataclass(frozen=True)
class Order:
    """A build for one category. `target` is `source` when the image in use is changed in place. `clones`: the target is
    to be made first; `former`: the record that was there before."""

    category: str
    source: str
    target: str
    clones: bool
    former: Optional[Record]

    @property
    def in_place(self) -> bool:
        """Whether the image in use is changed."""
        return self.source == self.target

    def record(self, stage: str) -> Record:
        """The record of this build."""
        return Record(self.category, self.source, self.target, stage, before=self.before(self.source))

    def before(self, source: str) -> Optional[Record]:
        """The rollout that brought the category to `source`; of its nodes those that have something to get back."""
        former = self.former
        if former is None or former.unfinished:
            return former.before if former else None
        if former.image != source:
            return None  # somebody gave the category another image since
        return replace(former, nodes={name: node for name, node in former.nodes.items() if node.former})


def image_of(cluster: Cluster, category: str) -> str:
    """The software image of a category; raises CannotBuild when BCM knows no such category or image."""
    if category not in cluster.categories:
        remedy = did_you_mean(category, list(cluster.categories)) or "See in cmsh: category; list"
        raise CannotBuild(f"category {category}", "BCM knows no such category", remedy)
    image = cluster.categories[category].image
    if image not in cluster.images:
        raise CannotBuild(f"category {category}", f"has no software image ({image or 'none is set'})", "Set one.")
    return image


def tree_of(cluster: Cluster, root: Path, image: str, name: str = "") -> Tree:
    """The tree of an image, under a `name` that it is to have where it has another one now."""
    path = cluster.images[image].path
    return Tree(name or image, root / path.lstrip("/"), f"{IMAGES}/{name}" if name and name != image else path)


def of(
    cluster: Cluster, records: Mapping[str, Record], root: Path, category: str, *, to: Optional[str], in_place: bool
) -> Order:
    """What a build for `category` does; `to`: the name that the image is to have. Raises CannotBuild."""
    source = image_of(cluster, category)
    record = records.get(category)
    if in_place and to:
        raise CannotBuild(f"--to {to}", "does not go with --in-place", "Give one of the two.")
    if record is None or not record.unfinished:
        target = source if in_place else _new(cluster, records, root, source, to)
        return Order(category, source, target, clones=not in_place, former=record)
    back = f"bcm-jobstats image rollback {category}"
    if record.stage not in {CLONING, BUILDING, BUILT}:
        cause = f"image {record.image} is being rolled out or taken back"
        raise CannotBuild(f"category {category}", cause, f"Finish it: bcm-jobstats image rollout {category}, or {back}")
    if record.source != source or in_place != (record.source == record.image) or to not in {None, record.image}:
        cause = f"image {record.image} was begun from {record.source}, which is not what is asked for now"
        remedy = f"Roll it out (bcm-jobstats image rollout {category}), or give it up: {back}"
        raise CannotBuild(f"category {category}", cause, remedy)
    # Somebody may have removed it in cmsh: it is made anew.
    clones = record.stage == CLONING or record.image not in cluster.images
    return Order(category, source, record.image, clones=clones, former=record)


def _new(cluster: Cluster, records: Mapping[str, Record], root: Path, source: str, to: Optional[str]) -> str:
    taken = {*cluster.images, *(name for one in records.values() for name in (one.image, one.source))}
    if to is None:
        match = _BASE.fullmatch(source)
        base = match.group(1) if match else source
        names = (f"{base}{SUFFIX}{f'-{number}' if number > 1 else ''}" for number in count(1))
        return next(name for name in names if name not in taken and not (root / IMAGES[1:] / name).exists())
    if not NAME.fullmatch(to):
        raise CannotBuild(f"--to {to}", "cannot be the name of an image", "Letters, digits and . _ - at most 64.")
    if to in taken:
        raise CannotBuild(f"--to {to}", "there is an image of that name", "Give another name.")
    if (root / IMAGES[1:] / to).exists():
        remedy = "Move it away, or give another name."
        raise CannotBuild(f"--to {to}", f"{IMAGES}/{to} is there, though BCM knows no such image", remedy)
    return to
