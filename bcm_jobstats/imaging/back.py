"""The way back from a rollout: which nodes, to which image. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Optional

from bcm_jobstats.bcm.cmsh.scripts import node_list
from bcm_jobstats.bcm.entities import Cluster, Node
from bcm_jobstats.bcm.errors import UnsafeName
from bcm_jobstats.bcm.imagework import NodeStatus
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.record import BUILDING, BUILT, CLONING, DONE, MOVED, RETURNING, VERIFIED, NodeRecord, Record
from bcm_jobstats.imaging.rolled import nodes_of

UNUSED = (CLONING, BUILDING, BUILT)
"""Stages at which no node has the image yet."""


class NoWayBack(JobstatsError):
    """There is no image to go back to."""


@dataclass(frozen=True)
class Return:
    """What a rollback does: `owns`: node -> the image of its own that it gets back ("": none), where that changes;
    `nodes` are synced, `images` has what each of them is synced with; `left`: node -> why not. `unused`: no node has
    the image, or it is the one they had, changed in place: only the record goes."""

    record: Record
    category_too: bool = False
    owns: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    unused: bool = False

    @property
    def in_place(self) -> bool:
        """Whether the image was changed in place: there is no other one to go back to."""
        return self.record.source == self.record.image


def make(category: str, record: Optional[Record], cluster: Cluster, status: Mapping[str, NodeStatus]) -> Return:
    """The way back of a category; raises NoWayBack."""
    subject = f"image rollback {category}"
    if record is None:
        cause = "no image was built for this category, or it was changed in place"
        raise NoWayBack(subject, cause, f"Run: bcm-jobstats rollback, then: bcm-jobstats image rollout {category}")
    members = nodes_of(category, cluster)
    present = cluster.categories[category].image if category in cluster.categories else ""
    users = {present, *(cluster.image_of(node) for node in members)}
    if record.source == record.image or (record.stage in UNUSED and record.image not in users):
        return Return(record, unused=True)
    if record.source not in cluster.images:
        raise NoWayBack(subject, f"BCM does not know image {record.source} any more", "Restore it from backup.")
    told = _nodes(record, cluster, members, present)
    # A category without any image: BCM took the built one from it when somebody removed that.
    category_too = category in cluster.categories and present in {record.image, ""}
    own = {name: cluster.nodes[name].image for name in told if name in cluster.nodes}
    former = {name: told[name].former if told[name].former in cluster.images else "" for name in own}
    owns = {name: former[name] for name, image in own.items() if image in {"", record.image} - {former[name]}}
    images = {}
    for name, image in own.items():
        home = cluster.nodes[name].category
        follows = record.source if home == category and category_too else _image_of_category(home, cluster)
        images[name] = owns.get(name, image) or follows
    left = {}
    for name in told:
        stays = name in own and name not in owns and images[name] not in {record.source, former[name]}
        why = _why_left(name, category, cluster, status.get(name), images[name] if stays else "")
        if why:
            left[name] = why
    going = tuple(name for name, node in told.items() if name not in left and node.state != VERIFIED)
    return Return(record.at(RETURNING, nodes=told), category_too, owns, going, {n: images[n] for n in going}, left)


def _nodes(record: Record, cluster: Cluster, members: Collection[Node], present: str) -> dict[str, NodeRecord]:
    """The nodes that may have the image, and how far each is on its way back."""
    told = dict(record.nodes)
    # All that follow the category had it when the rollout had ended, also where somebody set the category back since.
    had = {record.image, record.source} if record.stage == DONE and present == record.source else {record.image}
    for node in members:
        if cluster.image_of(node) in had:
            told.setdefault(node.name, NodeRecord("" if node.image in had else node.image, MOVED))
    if record.stage != RETURNING:
        told = {name: replace(node, state=MOVED, reason="") for name, node in told.items()}
    return told


def _why_left(name: str, category: str, cluster: Cluster, status: Optional[NodeStatus], other: str) -> str:
    """Why a node is not synced, "": it is; `other`: the image that it has now, where that is another one."""
    node = cluster.nodes.get(name)
    if node is None:
        return "is not in BCM any more"
    if node.category != category:
        return f"is in category {node.category} now: it follows at its next boot"
    if other:
        return f"has image {other} now"
    if not _can_be_sent(name):
        return "has a name that cannot be sent to cmsh: it follows at its next boot"
    state = status.state if status else "unknown to BCM"
    return "" if state == "UP" else f"is {state}: it follows at its next boot"


def _can_be_sent(name: str) -> bool:
    try:
        node_list([name])
    except UnsafeName:
        return False
    return True


def _image_of_category(name: str, cluster: Cluster) -> str:
    found = cluster.categories.get(name)
    return found.image if found else ""
