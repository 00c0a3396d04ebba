"""Which image a grab wipes, and for whom: decided, and refused, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bcm_jobstats.bcm.entities import Cluster, Node
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import order
from bcm_jobstats.imaging.order import Order
from bcm_jobstats.imaging.record import CLONING, GRABBING, Record


class CannotGrab(JobstatsError):
    """Nothing can be grabbed from that node, or not now, or not into that image; nothing was changed."""


@dataclass(frozen=True)
class Grab(Order):
    """A grab from `node` into `target`, cloned from `source`: the image that the node has, which need not be that of
    its category, `home`. `foreign`: the target is somebody else's, and stays whatever happens."""

    node: str = ""
    home: str = ""
    foreign: bool = False

    def record(self, stage: str) -> Record:
        """The record of this grab, by which its image is rolled out."""
        return Record(self.category, self.home, self.target, stage, before=self.before(self.home))

    @property
    def grabbing(self) -> bool:
        """Whether an earlier run was ended after the clone was found whole."""
        return self.former is not None and self.former.stage == CLONING and self.former.digest == GRABBING


def ordered(
    cluster: Cluster, records: Mapping[str, Record], root: Path, node: str, to: str, *, overwrite: bool = False
) -> Grab:
    """What a grab does. Raises CannotGrab, or CannotBuild where a build of that name would be refused too."""
    device = _device(cluster, node)
    home, source = order.image_of(cluster, device.category), str(cluster.image_of(device))
    if source not in cluster.images:
        raise CannotGrab(f"node {node}", f"BCM knows no software image {source}", "Set one that there is.")
    _refuse_used(cluster, records, to)
    require_apart(cluster, root, to)
    if overwrite and to in cluster.images and not any(one.image == to for one in records.values()):
        former = records.get(device.category)
        if former is not None and former.unfinished:
            order.of(cluster, records, root, device.category, to=to, in_place=False)  # refuses, and says why
        return Grab(device.category, source, to, False, former, node, home, foreign=True)
    build = order.of(cluster, records, root, device.category, to=to, in_place=False)
    made = Grab(build.category, source, to, build.clones, build.former, node, home)
    return replace(made, clones=to not in cluster.images or (made.clones and not made.grabbing))


def require_apart(cluster: Cluster, root: Path, to: str) -> None:
    """CannotGrab when the directory of an image is another one's too, or lies in it, or the other way round: what a
    grab wipes is the directory."""
    if to not in cluster.images:
        return
    wiped = (root / cluster.images[to].path.lstrip("/")).resolve()
    for name, image in cluster.images.items():
        there = (root / image.path.lstrip("/")).resolve()
        if name != to and (wiped.is_relative_to(there) or there.is_relative_to(wiped)):
            cause = f"its directory {cluster.images[to].path} is not its own: image {name} has {image.path}"
            remedy = "Give a new name: the image is made by clone. Do not remove either with its data (-d) in cmsh."
            raise CannotGrab(f"software image {to}", cause, remedy)


def _device(cluster: Cluster, node: str) -> Node:
    device = cluster.nodes.get(node)
    if device is None:
        raise CannotGrab(f"node {node}", "BCM knows no such node", "See in cmsh: device; list")
    if device.is_head or not device.category:
        raise CannotGrab(f"node {node}", "has no software image", "Name a node that boots from one.")
    return device


def _refuse_used(cluster: Cluster, records: Mapping[str, Record], to: str) -> None:
    """A grab wipes the image: one that somebody has, or would go back to, is never the target."""
    users = [f"category {one.name}" for one in cluster.categories.values() if one.image == to]
    users += [f"node {one.name}" for one in cluster.nodes.values() if cluster.image_of(one) == to and one.image]
    ways = [one for record in records.values() for one in record.chain]
    users += [f"the way back of category {one.category}" for one in ways if one.source == to]
    if users:
        more = f" and {len(users) - 2} more" if len(users) > 2 else ""
        cause = f"is used by {', '.join(users[:2])}{more}, and a grab wipes it"
        raise CannotGrab(f"software image {to}", cause, "Give a new name: the image is made by clone.")
