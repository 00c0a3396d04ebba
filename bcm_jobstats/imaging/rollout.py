"""What a rollout would do: which nodes in which order, which are left and why. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Optional

from bcm_jobstats.bcm.cmsh.scripts import node_list
from bcm_jobstats.bcm.entities import Cluster, Node
from bcm_jobstats.bcm.imagework import NodeStatus
from bcm_jobstats.imaging.record import VERIFIED, Record
from bcm_jobstats.imaging.rolled import CannotRoll, nodes_of
from bcm_jobstats.imaging.waves import Wave, cut, natural
from bcm_jobstats.site import Amount, Rollout


@dataclass(frozen=True)
class Options:
    """How a rollout goes: the site's `rollout`, and what the command line says. Seconds."""

    wave: Amount
    most: Amount
    """How many nodes may fail; see waves.too_many."""
    settle: float
    timeout: float
    canary: tuple[str, ...] = ()
    canaries: int = 1
    """How many nodes go first where `canary` names none."""
    nodes: tuple[str, ...] = ()
    """Only these, where there are any; also those that have another image of their own."""
    reboot: bool = False
    """Boot nodes that BCM says have to."""
    no_reboot: bool = False
    """Go on although BCM says that nodes have to boot."""

    @classmethod
    def of(cls, site: Rollout) -> Options:
        """What the site file says."""
        return cls(site.wave, site.max_failures, site.settle.seconds, site.timeout.seconds, canaries=site.canary)


@dataclass(frozen=True)
class RolloutPlan:
    """What a rollout does. `formers`: node -> the image it had of its own before ("": none); `uses`: node -> the image
    it has now; `left`: node -> why it does not go."""

    record: Record
    image: str
    waves: tuple[Wave, ...]
    formers: Mapping[str, str]
    uses: Mapping[str, str]
    done: tuple[str, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    """Nodes that could go and were not named."""
    repair: bool = False
    """Nodes are only brought back to the image that the category has."""

    @property
    def ends(self) -> bool:
        """Whether the category gets its image when these nodes went."""
        return self.repair or not self.waiting

    @property
    def nodes(self) -> list[str]:
        """The nodes that go, in their order."""
        return [node for wave in self.waves for node in wave.nodes]


def make(
    record: Record, cluster: Cluster, status: Mapping[str, NodeStatus], options: Options, *, repair: bool = False
) -> RolloutPlan:
    """The plan for the nodes of the record's category; `status` tells which are up. Raises CannotRoll, or UnsafeName
    where a node has a name that cannot be sent."""
    members = {node.name: node for node in nodes_of(record.category, cluster)}
    formers = _formers(members, record)
    _refuse_strangers(record.category, (*options.canary, *options.nodes), members)
    left: dict[str, str] = {}
    done: list[str] = []
    waiting: list[str] = []
    going: list[str] = []
    for name in natural(members):
        wanted = not options.nodes or name in options.nodes
        why = _why_left(members[name], status.get(name), record, options, repair=repair)
        if _works(members[name], record, cluster):
            done.append(name)
        elif why:
            left[name] = why
        else:
            (going if wanted else waiting).append(name)
    node_list(going)
    _refuse_canaries(options.canary, {*going, *done}, left)
    first = options.canary or (() if done else tuple(natural(going)[: options.canaries]))
    return RolloutPlan(
        record,
        record.image,
        tuple(cut(going, first, options.wave)),
        {name: formers[name] for name in going},
        {name: cluster.image_of(members[name]) or "" for name in going},
        tuple(done),
        left,
        tuple(waiting),
        repair,
    )


def _formers(members: Mapping[str, Node], record: Record) -> dict[str, str]:
    """node -> the image that it had of its own before."""
    own = {name: node.image for name, node in members.items()}
    if set(own.values()) == {record.source}:
        own = dict.fromkeys(own, "")  # BCM lists what they have from their category (capability inherited-image)
    return {name: record.nodes[name].former if name in record.nodes else image for name, image in own.items()}


def _why_left(
    node: Node, status: Optional[NodeStatus], record: Record, options: Options, *, repair: bool
) -> Optional[str]:
    """Why a node does not go; None: it does, where it is wanted."""
    # One that an earlier run was to take along goes on, unless somebody gave it back since the rollout ended.
    known = not repair and node.name in record.nodes and record.nodes[node.name].former == node.image
    if node.image not in ("", record.image, record.source) and node.name not in options.nodes and not known:
        return f"has an image of its own, {node.image}: name it with --nodes to take it along"
    state = status.state if status else "unknown to BCM"
    return None if state == "UP" else f"is {state}: it gets the image at its next boot"


def _refuse_canaries(canary: Collection[str], there: Collection[str], left: Mapping[str, str]) -> None:
    for name in canary:
        if name not in there:
            why = left[name].partition(":")[0] if name in left else "is not among the nodes that go"
            raise CannotRoll(f"canary {name}", why, "Choose another with --canary.")


def _works(node: Node, record: Record, cluster: Cluster) -> bool:
    """Whether a node was seen to work with the image, and still has it."""
    seen = node.name in record.nodes and record.nodes[node.name].state == VERIFIED
    return seen and cluster.image_of(node) == record.image


def _refuse_strangers(category: str, names: Collection[str], members: Collection[str]) -> None:
    strangers = [name for name in names if name not in members]
    if strangers:
        raise CannotRoll(f"node {strangers[0]}", f"is not in category {category}", "Check it in cmsh: device list")
