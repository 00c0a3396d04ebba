"""Which image is rolled out to a category: the one that was built for it, or the one that it has."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

from bcm_jobstats.bcm.entities import Cluster, Node
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.record import BUILDING, BUILT, CLONING, DONE, GRABBING, MOVED, RETURNING, ROLLING, Record


class CannotRoll(JobstatsError):
    """There is nothing that could be rolled out to a category, or not now."""


def record_for(category: str, record: Optional[Record], cluster: Cluster, digest: str = "") -> Record:
    """The record that a rollout goes by: of the image that was built for a category, or of the one it has, to which its
    nodes are brought back. `digest` is the image's now. Raises CannotRoll."""
    subject = f"image rollout {category}"
    now = present(category, cluster)
    if record is None:
        return Record(category, now, now, ROLLING, digest)
    if record.stage == CLONING and record.digest == GRABBING:
        raise CannotRoll(subject, f"the grab into {record.image} has not ended", "Run the same `image grab` again.")
    if record.stage in (CLONING, BUILDING):
        cause = f"the build of {record.image} has not ended"
        raise CannotRoll(subject, cause, f"Run: bcm-jobstats image build {category}")
    if record.stage == RETURNING:
        cause = f"its nodes are on the way back to {record.source}"
        raise CannotRoll(subject, cause, f"Run: bcm-jobstats image rollback {category}")
    allowed = {record.image} if record.stage == DONE else {record.image, record.source}
    if now not in allowed:
        cause = f"the category has image {now} now, and {record.image} was built from {record.source}"
        wanted = record.image if record.stage == DONE else record.source
        first = f"Set it to {wanted} in cmsh, or run" if wanted in cluster.images else "Run"
        raise CannotRoll(subject, cause, f"{first}: bcm-jobstats image rollback {category}")
    nodes = record.nodes
    if record.stage == DONE or record.digest != digest:
        # What was seen to work was another image, or is not what somebody wants to know now.
        nodes = {name: replace(node, state=MOVED, reason="") for name, node in nodes.items()}
    return record.at(ROLLING, digest=digest, nodes=nodes)


def emptied(record: Record) -> CannotRoll:
    """The error that nothing of ours is left in an image that was built; `destroy` or `rollback` took it out."""
    back = f"bcm-jobstats image rollback {record.category}"
    again = f"Build it again: bcm-jobstats image build {record.category}, or go back: {back}"
    return CannotRoll(
        f"software image {record.image}",
        "nothing of bcm-jobstats is in it any more",
        again if record.stage in (BUILT, DONE) else f"Go back: {back}",
    )


def nodes_of(category: str, cluster: Cluster) -> list[Node]:
    """The nodes of a category."""
    return [node for node in cluster.nodes.values() if node.category == category and not node.is_head]


def present(category: str, cluster: Cluster) -> str:
    """The image that a category has; raises CannotRoll."""
    found = cluster.categories.get(category)
    if found is None:
        known = ", ".join(sorted(cluster.categories)) or "none"
        raise CannotRoll(f"category {category}", "BCM has no such category", f"There are: {known}")
    if not found.image:
        raise CannotRoll(f"category {category}", "has no software image", "Set one in cmsh.")
    return found.image
