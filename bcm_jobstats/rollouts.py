"""Rollouts of software images, over a deployment: what they go by, how they begin and how they end."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from typing import Callable, Optional, Protocol

from bcm_jobstats import planning
from bcm_jobstats.bcm import heads
from bcm_jobstats.bcm.imagework import NodeStatus
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.imaging import drift, mending, nodecheck, payload, rollout, updates
from bcm_jobstats.imaging.build import NoJournal, manifest_digest
from bcm_jobstats.imaging.health import Gate
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.means import Means
from bcm_jobstats.imaging.record import DONE
from bcm_jobstats.imaging.rolling import Rolling
from bcm_jobstats.imaging.rollout import CannotRoll, Options, RolloutPlan
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.plan.apply import carry_out
from bcm_jobstats.plan.model import Plan
from bcm_jobstats.stack import hooks


class Tells(Protocol):
    """Who is told how far it is."""

    def tell(self, text: str) -> None:
        """One line."""

    def bar(self, done: int, failed: int, left: int) -> None:
        """Nodes."""


def tree_of(where: Deployment, image: str) -> Tree:
    """The directory of a software image; raises CannotRoll."""
    known = where.cluster.images.get(image)
    root = where.root / known.path.lstrip("/") if known else None
    if known is None or root is None or not root.is_dir():
        cause = f"its directory {known.path} is not there" if known else "BCM has no such image"
        raise CannotRoll(f"software image {image}", cause, "Check it in cmsh: softwareimage; list")
    return Tree(image, root, known.path)


def manifest_of(tree: Tree) -> Manifest:
    """What we wrote into an image."""
    return Manifest(tree.root, tree.manifest)


def plan(where: Deployment, category: str, options: Options) -> RolloutPlan:
    """What a rollout would do. Changes nothing; raises CannotRoll."""
    before = where.records.of(category)
    tree = tree_of(where, rollout.record_for(category, before, where.cluster).image)
    record = rollout.record_for(category, before, where.cluster, manifest_digest(tree))
    _refuse_dead_links(where, manifest_of(tree))
    repair = before is None or before.stage == DONE
    return rollout.make(record, where.cluster, _status(where, category), options, repair=repair)


def mended(where: Deployment, category: str, tree: Tree) -> Optional[Plan]:
    """What puts damage in an image right; None: there is none. Raises Damaged."""
    damage = drift.of_tree(tree)
    if not damage:
        return None
    return mending.mending(planning.for_image(where, category, tree, adopt=True), tree.name, damage, manifest_of(tree))


def mend(where: Deployment, found: Plan, tree: Tree) -> None:
    """Put the damage right; raises what a provider raises."""
    heads.require_active(where.root)
    carry_out(found, planning.image_providers(where, tree), NoJournal(), where.originals)
    where.refresh()


def means(where: Deployment, tree: Tree, options: Options, progress: Tells) -> Means:
    """What a rollout works with."""
    manifest = manifest_of(tree)
    checks = nodecheck.checks(where.stack, manifest, where.cluster.version)
    test_job = where.stack.site.rollout.test_job
    return Means(
        where.imagework,
        lambda nodes: drift.of_nodes(where.bcm, nodes, manifest),
        where.records.save,
        lambda: heads.require_active(where.root),
        Gate(where.bcm, checks, options.settle, options.timeout),
        job=(lambda node: run_job(test_job, node, options.timeout)) if test_job else lambda node: "",
        tell=progress.tell,
        bar=progress.bar,
    )


def finish(where: Deployment, rolling: Rolling, tell: Callable[[str], None]) -> list[str]:
    """The category gets the image, its nodes none of their own; returns the nodes that BCM says have to boot."""
    plan, means, record = rolling.plan, rolling.means, rolling.record
    category = record.category
    where.refresh()
    if where.cluster.categories[category].image != plan.image:
        tell(f"category {category}: software image {plan.image}")
        means.change("use", lambda: means.work.use_in_category(category, plan.image))
    # Who had this very image before keeps it; who had a third one was named for this, and follows the category now.
    own = {name: where.cluster.nodes[name].image for name in record.nodes if name in where.cluster.nodes}
    given = [name for name, image in own.items() if image and record.nodes[name].former != plan.image]
    if given:
        tell(f"{len(given)} nodes: the software image of their category")
        means.change("use", lambda: means.work.use(given, ""))
    means.guard()
    if record.source == record.image:
        where.records.end(record)  # there is no way back to keep open
    else:
        where.records.save(record.at(DONE))
    where.refresh()
    if not rolling.failed() and not plan.waiting:
        note_pushed(where, category, plan.image)
    means.calls["status"] += 1
    return [name for name, status in _status(where, category).items() if status.restart_required]


def note_pushed(where: Deployment, category: str, image: str) -> bool:
    """Note what the nodes of a category have now as `apply` does after its imageupdate, when nothing is to be changed
    in their image; returns whether that was so."""
    now = planning.for_apply(where)
    under = tuple(f"{kind}.{image}:" for kind in updates.KINDS)
    if any(change.address.startswith(under) for change in now.changes):
        return False
    for change in now.changes:
        if change.address == f"imageupdate.{category}" and change.after is not None:
            push(where, category, change.after)
    return True


def run_job(command: str, node: str, timeout: float) -> str:
    """Run the site's test job on this head for a node; why it failed, "": it did not."""
    line = command.replace("{node}", shlex.quote(node))
    try:
        done = subprocess.run(
            ["timeout", "--kill-after=5", f"{timeout:g}", "/bin/sh", "-c", line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        return f"{line} cannot be started: {error.strerror}"
    if done.returncode == 0:
        return ""
    words = [one.strip() for one in done.stdout.splitlines() if one.strip()]
    late = f" (no end within {timeout:g} s)" if done.returncode == 124 else ""
    return f"{line} ended with status {done.returncode}{late}: {' / '.join(words[-3:]):.400}"


def push(where: Deployment, category: str, digests: Optional[Mapping[str, str]]) -> None:
    """Note what the nodes of a category were last updated with; None: with nothing of ours."""
    shared = payload.shared_tree(where.root)
    manifest = Manifest(shared.root, shared.manifest)
    if digests is None:
        manifest.pushed.pop(category, None)
        manifest.drop_parents()
    else:
        manifest.pushed[category] = dict(digests)
    manifest.save()


def _status(where: Deployment, category: str) -> Mapping[str, NodeStatus]:
    return where.imagework.status([node.name for node in rollout.nodes_of(category, where.cluster)])


def _refuse_dead_links(where: Deployment, manifest: Manifest) -> None:
    """A hook that leads to nothing would make BCM's prolog fail, and drain the nodes (bcm-facts §13 #12)."""
    for path, entry in manifest.entries.items():
        target = str(entry.get("target", ""))
        shared = target.startswith("/cm/shared/") and path.startswith(tuple(hooks.FOLDERS.values()))
        if shared and not (where.root / target.lstrip("/")).is_file():
            cause = f"leads to {target}, which is not on shared storage"
            raise CannotRoll(f"hook {path}", cause, "Run: bcm-jobstats apply, or image build, which puts it there.")
