"""Rollbacks of software images, over a deployment: what they go by, and what is left when they end."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bcm_jobstats.bcm import heads
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.imaging import back, payload, rollout
from bcm_jobstats.imaging.back import NoWayBack, Return
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.means import Means
from bcm_jobstats.imaging.record import Record
from bcm_jobstats.imaging.returning import Returning
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.rollouts import Tells, manifest_of, note_pushed, push, tree_of
from bcm_jobstats.site import Amount

AFTER_ROLLBACK = "rolled back"
"""Stands for the digests of what nodes had before a rollback: whatever they get next is another."""


def way_back(where: Deployment, category: str) -> Return:
    """What a rollback would do. Changes nothing; raises NoWayBack."""
    record = where.records.of(category)
    names = {*(record.nodes if record else ()), *(node.name for node in rollout.nodes_of(category, where.cluster))}
    return back.make(category, record, where.cluster, where.imagework.status(sorted(names)))


def go_back(where: Deployment, plan: Return, wave: Amount, progress: Tells) -> Returning:
    """What carries a rollback out."""
    image, source = tree_of(where, plan.record.image), tree_of(where, plan.record.source)
    manifest, services = manifest_of(image), back.changed_services(where.stack, image, source)
    means = Means(
        where.imagework,
        lambda nodes: back.differing(where.bcm, nodes, manifest, source),
        where.records.save,
        lambda: heads.require_active(where.root),
        tell=progress.tell,
        bar=progress.bar,
    )
    return Returning(plan, wave, means, lambda nodes: changed_on(where, services, nodes))


def forget(where: Deployment, record: Record, *, remove_image: bool) -> list[str]:
    """The end of a rollback: no record any more, and with `remove_image` no image that was built for it. Returns the
    nodes that BCM says have to boot."""
    heads.require_active(where.root)
    where.refresh()
    if remove_image and record.image != record.source and record.image in where.cluster.images:
        _refuse_used(where, record.image)
        where.imagework.remove(record.image)
        for address in where.originals.all():
            if address.partition(".")[2].startswith(f"{record.image}:"):
                where.originals.release(address)
    where.records.end(record)
    where.refresh()
    if record.source in where.cluster.images:
        forget_pushed(where, record.category, tree_of(where, record.source))
    told = where.imagework.status(list(record.nodes)) if record.nodes else {}
    return [name for name, status in told.items() if status.restart_required]


def forget_pushed(where: Deployment, category: str, source: Tree) -> None:
    """After a rollback nodes have what `source` has; `apply` is to restart their services when it changes that."""
    shared = payload.shared_tree(where.root)
    pushed = Manifest(shared.root, shared.manifest).pushed.get(category)
    if pushed is None:
        return
    if not source.record.is_file():
        push(where, category, None)
    elif not note_pushed(where, category, source.name):
        push(where, category, dict.fromkeys(pushed, AFTER_ROLLBACK))


def changed_on(where: Deployment, services: Sequence[str], nodes: Collection[str]) -> Mapping[str, Collection[str]]:
    """node -> those of `services` that run there, once systemd has read its units anew. Two calls."""
    if not services:
        return {}
    where.bcm.execute(nodes, "cd /etc/.. ; if [ -d run/systemd/system ] ; then systemctl daemon-reload ; fi")
    states = where.bcm.service_states(nodes)
    return {node: [name for name in services if states.get(node, {}).get(name) == "UP"] for node in nodes}


def _refuse_used(where: Deployment, image: str) -> None:
    """Whether nodes or categories still have an image: then it stays."""
    cluster = where.cluster
    users = [f"category {one.name}" for one in cluster.categories.values() if one.image == image]
    users += [f"node {one.name}" for one in cluster.nodes.values() if one.image == image]
    if users:
        cause = f"is still used by {users[0]}{f' and {len(users) - 1} more' if len(users) > 1 else ''}"
        raise NoWayBack(f"software image {image}", cause, "It was not removed: give them another image first.")
