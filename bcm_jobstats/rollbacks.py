"""Rollbacks of software images, over a deployment: what they go by, and what is left when they end."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Optional

from bcm_jobstats import pushed
from bcm_jobstats.bcm import heads
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.images import manifest_of, tree_of
from bcm_jobstats.imaging import asbefore, back
from bcm_jobstats.imaging.back import NoWayBack, Return
from bcm_jobstats.imaging.drift import Difference
from bcm_jobstats.imaging.means import Means
from bcm_jobstats.imaging.returning import Returning
from bcm_jobstats.imaging.rolled import CannotRoll, nodes_of
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.rollouts import Tells
from bcm_jobstats.site import Amount


def way_back(where: Deployment, category: str) -> Return:
    """What a rollback would do. Changes nothing; raises NoWayBack."""
    record = where.records.of(category)
    names = {*(record.nodes if record else ()), *(node.name for node in nodes_of(category, where.cluster))}
    return back.make(category, record, where.cluster, where.imagework.status(sorted(names)))


def go_back(where: Deployment, plan: Return, wave: Amount, progress: Tells, *, reboot: bool = False) -> Returning:
    """What carries a rollback out."""
    left = _left(where, plan.record.image)
    trees = {image: tree_of(where, image) for image in sorted({plan.record.source, *plan.images.values()})}
    services = {image: asbefore.changed_services(where.stack, left, tree) for image, tree in trees.items()}
    manifest = manifest_of(left) if left else None

    def differing(nodes: Collection[str]) -> Mapping[str, Optional[Sequence[Difference]]]:
        found: dict[str, Optional[Sequence[Difference]]] = {}
        for image, tree in trees.items():
            some = [name for name in nodes if plan.images[name] == image]
            found.update(asbefore.differing(where.bcm, some, manifest, tree) if some else {})
        return found

    means = Means(
        where.imagework,
        differing,
        where.records.save,
        lambda: heads.require_active(where.root),
        tell=progress.tell,
        bar=progress.bar,
    )
    timeout = where.stack.site.rollout.timeout.seconds
    stale = lambda nodes: changed_on(where, {name: services[plan.images[name]] for name in nodes})  # noqa: E731
    return Returning(plan, wave, means, stale, reboot, timeout)


def forget(where: Deployment, plan: Return, *, remove_image: bool) -> list[str]:
    """The end of a rollback: no record any more, and with `remove_image` no image that was built for it. Returns the
    nodes that BCM says have to boot."""
    record = plan.record
    heads.require_active(where.root)
    where.refresh()
    source = None if plan.unused else tree_of(where, record.source)
    gone = record.image not in where.cluster.images
    if not plan.in_place and (remove_image or gone):
        if not gone:
            _refuse_used(where, record.image)
            where.imagework.remove(record.image)
        for address in where.originals.all():
            if address.partition(".")[2].startswith(f"{record.image}:"):
                where.originals.release(address)
    where.records.end(record)
    where.refresh()
    if source is None:
        return []
    pushed.returned(where, record.category, source)
    told = where.imagework.status(list(record.nodes)) if record.nodes else {}
    return [name for name, status in told.items() if status.restart_required]


def changed_on(where: Deployment, services: Mapping[str, Collection[str]]) -> Mapping[str, Collection[str]]:
    """node -> those of its `services` that run there, once systemd has read its units anew. Two calls."""
    services = {node: names for node, names in services.items() if names}
    if not services:
        return {}
    where.bcm.execute(list(services), "cd /etc/.. ; if [ -d run/systemd/system ] ; then systemctl daemon-reload ; fi")
    states = where.bcm.service_states(list(services))
    return {
        node: [name for name in names if states.get(node, {}).get(name) == "UP"] for node, names in services.items()
    }


def _left(where: Deployment, image: str) -> Optional[Tree]:
    """The image that is left; None when somebody removed it."""
    try:
        return tree_of(where, image)
    except CannotRoll:
        return None


def _refuse_used(where: Deployment, image: str) -> None:
    """Whether nodes or categories still have an image: then it stays."""
    cluster = where.cluster
    users = [f"category {one.name}" for one in cluster.categories.values() if one.image == image]
    users += [f"node {one.name}" for one in cluster.nodes.values() if one.image == image]
    if users:
        cause = f"is still used by {users[0]}{f' and {len(users) - 1} more' if len(users) > 1 else ''}"
        raise NoWayBack(f"software image {image}", cause, "It was not removed: give them another image first.")
