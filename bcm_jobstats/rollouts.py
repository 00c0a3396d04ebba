"""Rollouts of software images, over a deployment: what they go by, how they begin and how they end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable, Protocol

from bcm_jobstats import images, pushed
from bcm_jobstats.bcm import heads
from bcm_jobstats.bcm.imagework import NodeStatus
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.imaging import drift, nodecheck, rolled, rollout, testjob
from bcm_jobstats.imaging.build import manifest_digest
from bcm_jobstats.imaging.health import Gate
from bcm_jobstats.imaging.means import Means
from bcm_jobstats.imaging.record import DONE, MOVED, Record
from bcm_jobstats.imaging.rolled import CannotRoll
from bcm_jobstats.imaging.rolling import Rolling
from bcm_jobstats.imaging.rollout import Options, RolloutPlan
from bcm_jobstats.imaging.trees import Tree


class Tells(Protocol):
    """Who is told how far it is."""

    def tell(self, text: str) -> None:
        """One line."""

    def bar(self, done: int, failed: int, left: int) -> None:
        """Nodes."""


def plan(where: Deployment, category: str, options: Options) -> RolloutPlan:
    """What a rollout would do. Changes nothing; raises CannotRoll."""
    before = where.records.of(category)
    image = rolled.record_for(category, before, where.cluster).image
    if before and image not in where.cluster.images:
        back = f"Go back: bcm-jobstats image rollback {category}"
        raise CannotRoll(f"software image {image}", "was built, and BCM does not know it any more", back)
    tree = images.tree_of(where, image)
    manifest = images.manifest_of(tree)
    if before and before.digest and images.is_empty(manifest):
        raise rolled.emptied(before)
    record = rolled.record_for(category, before, where.cluster, manifest_digest(tree))
    images.refuse_dead_links(where, manifest)
    repair = before is None or before.stage == DONE
    return rollout.make(record, where.cluster, _status(where, category), options, repair=repair)


def begin(where: Deployment, plan: RolloutPlan, tree: Tree) -> None:
    """Put on record that nodes are to get an image, before any has it."""
    heads.require_active(where.root)
    if not plan.repair:
        where.records.save(plan.record)
    pushed.begun(where, plan.record.category, tree)


def means(where: Deployment, plan: RolloutPlan, tree: Tree, options: Options, progress: Tells) -> Means:
    """What a rollout works with."""
    manifest = images.manifest_of(tree)
    checks = nodecheck.checks(where.stack, manifest, where.cluster.version)
    test_job = where.stack.site.rollout.test_job
    return Means(
        where.imagework,
        lambda nodes: drift.of_nodes(where.bcm, nodes, manifest),
        _keeper(where, plan),
        lambda: heads.require_active(where.root),
        Gate(where.bcm, checks, options.settle, options.timeout),
        job=(lambda node: testjob.run(test_job, node, options.timeout)) if test_job else lambda node: "",
        tell=progress.tell,
        bar=progress.bar,
    )


def finish(where: Deployment, rolling: Rolling, tell: Callable[[str], None]) -> list[str]:
    """The category gets the image, its nodes none of their own; returns the nodes that BCM says have to boot."""
    plan, means, record = rolling.plan, rolling.means, rolling.record
    category = record.category
    where.refresh()
    now = rolled.present(category, where.cluster)
    if now not in {record.source, plan.image}:
        both = f"neither {record.source}, from which {plan.image} was built, nor that"
        remedy = f"Set one of the two in cmsh, then go on: bcm-jobstats image rollout {category}"
        raise CannotRoll(f"category {category}", f"has image {now} now, {both}", remedy)
    if now != plan.image:
        tell(f"category {category}: software image {plan.image}")
        means.change("use", lambda: means.work.use_in_category(category, plan.image))
    # Who had this very image before keeps it, and who got another one meanwhile keeps that.
    own = {name: where.cluster.nodes[name].image for name in record.nodes if name in where.cluster.nodes}
    given = [name for name, image in own.items() if image == plan.image and record.nodes[name].former != plan.image]
    if given:
        tell(f"{len(given)} nodes: the software image of their category")
        means.change("use", lambda: means.work.use(given, ""))
    means.guard()
    if not plan.repair:
        _end(where, record)
    where.refresh()
    if not rolling.failed() and not plan.waiting:
        pushed.equal(where, category, plan.image)
    means.calls["status"] += 1
    return [name for name, status in _status(where, category).items() if status.restart_required]


def _end(where: Deployment, record: Record) -> None:
    if record.source == record.image:
        where.records.end(record)  # there is no way back to keep open
    else:
        where.records.save(record.at(DONE))


def _keeper(where: Deployment, plan: RolloutPlan) -> Callable[[Record], object]:
    """What saves the record of a rollout. A repair has none of its own: it blocks nothing where it fails; where there
    is one of a rollout that ended, what is new of its nodes is added."""
    former = where.records.of(plan.record.category)
    if not plan.repair:
        return where.records.save
    if former is None:
        return lambda record: None
    ended = former

    def keep(record: Record) -> None:
        news = {name: node for name, node in record.nodes.items() if node.state != MOVED or name not in ended.nodes}
        where.records.save(ended.at(DONE, digest=record.digest).with_nodes(news))

    return keep


def _status(where: Deployment, category: str) -> Mapping[str, NodeStatus]:
    return where.imagework.status([node.name for node in rolled.nodes_of(category, where.cluster)])
