"""What a rollout would do: which image, which nodes in which order, which are left and why. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Optional

from bcm_jobstats.bcm.entities import Cluster, Node
from bcm_jobstats.bcm.imagework import NodeStatus
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.record import BUILDING, CLONING, DONE, MOVED, RETURNING, ROLLING, VERIFIED, Record
from bcm_jobstats.imaging.waves import Wave, cut, natural
from bcm_jobstats.site import Amount, Rollout


class CannotRoll(JobstatsError):
    """There is nothing that could be rolled out to a category, or not now."""


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


def record_for(category: str, record: Optional[Record], cluster: Cluster, digest: str = "") -> Record:
    """The record that a rollout goes by: of the image that was built for a category, or of the one it has, to which its
    nodes are brought back. `digest` is the image's now. Raises CannotRoll."""
    subject = f"image rollout {category}"
    present = _present(category, cluster)
    if record is None:
        return Record(category, present, present, ROLLING, digest)
    if record.stage in (CLONING, BUILDING):
        cause = f"the build of {record.image} has not ended"
        raise CannotRoll(subject, cause, f"Run: bcm-jobstats image build {category}")
    if record.stage == RETURNING:
        cause = f"its nodes are on the way back to {record.source}"
        raise CannotRoll(subject, cause, f"Run: bcm-jobstats image rollback {category}")
    allowed = {record.image} if record.stage == DONE else {record.image, record.source}
    if present not in allowed:
        cause = f"the category has image {present} now, and {record.image} was built from {record.source}"
        remedy = f"Set it to {record.source} in cmsh, or run: bcm-jobstats image rollback {category}"
        raise CannotRoll(subject, cause, remedy)
    nodes = record.nodes
    if record.stage == DONE or record.digest != digest:
        # What was seen to work was another image, or is not what somebody wants to know now.
        nodes = {name: replace(node, state=MOVED, reason="") for name, node in nodes.items()}
    return record.at(ROLLING, digest=digest, nodes=nodes)


def make(
    record: Record, cluster: Cluster, status: Mapping[str, NodeStatus], options: Options, *, repair: bool = False
) -> RolloutPlan:
    """The plan for the nodes of the record's category; `status` tells which are up. Raises CannotRoll."""
    members = {node.name: node for node in nodes_of(record.category, cluster)}
    formers = _formers(members, record)
    _refuse_strangers(record.category, (*options.canary, *options.nodes), members)
    left: dict[str, str] = {}
    waiting: list[str] = []
    going: list[str] = []
    for name in natural(members):
        wanted = not options.nodes or name in options.nodes
        state = status[name].state if name in status else "unknown to BCM"
        third = formers[name] not in ("", record.image, record.source)
        if third and name not in options.nodes and name not in record.nodes:
            left[name] = f"has an image of its own, {formers[name]}: name it with --nodes to take it along"
        elif state != "UP":
            left[name] = f"is {state}: it gets the image at its next boot"
        elif not _verified(record, name):
            (going if wanted else waiting).append(name)
    first = options.canary or tuple(natural(going)[: options.canaries])
    begun = any(_verified(record, name) for name in members) and not options.canary
    lost = [name for name in options.canary if name in left]
    if lost:
        raise CannotRoll(f"canary {lost[0]}", left[lost[0]].partition(":")[0], "Choose another with --canary.")
    return RolloutPlan(
        record,
        record.image,
        tuple(cut(going, () if begun else first, options.wave)),
        {name: formers[name] for name in going},
        {name: cluster.image_of(members[name]) or "" for name in going},
        tuple(name for name in natural(members) if _verified(record, name)),
        left,
        tuple(waiting),
        repair,
    )


def nodes_of(category: str, cluster: Cluster) -> list[Node]:
    """The nodes of a category."""
    return [node for node in cluster.nodes.values() if node.category == category and not node.is_head]


def _present(category: str, cluster: Cluster) -> str:
    found = cluster.categories.get(category)
    if found is None:
        known = ", ".join(sorted(cluster.categories)) or "none"
        raise CannotRoll(f"category {category}", "BCM has no such category", f"There are: {known}")
    if not found.image:
        raise CannotRoll(f"category {category}", "has no software image", "Set one in cmsh.")
    return found.image


def _formers(members: Mapping[str, Node], record: Record) -> dict[str, str]:
    """node -> the image that it had of its own before."""
    own = {name: node.image for name, node in members.items()}
    if set(own.values()) == {record.source}:
        own = dict.fromkeys(own, "")  # BCM lists what they have from their category (capability inherited-image)
    return {name: record.nodes[name].former if name in record.nodes else image for name, image in own.items()}


def _verified(record: Record, name: str) -> bool:
    return name in record.nodes and record.nodes[name].state == VERIFIED


def _refuse_strangers(category: str, names: Collection[str], members: Collection[str]) -> None:
    strangers = [name for name in names if name not in members]
    if strangers:
        raise CannotRoll(f"node {strangers[0]}", f"is not in category {category}", "Check it in cmsh: device list")
