"""The images that are rolled out, over a deployment: where they are, whether they are whole, and damage put right."""

from __future__ import annotations

from typing import Optional

from bcm_jobstats import imageplan
from bcm_jobstats.bcm import heads
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.imaging import drift, mending
from bcm_jobstats.imaging.build import NoJournal
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.rolled import CannotRoll
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.plan.apply import carry_out
from bcm_jobstats.plan.model import Plan
from bcm_jobstats.stack import hooks


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


def is_empty(manifest: Manifest) -> bool:
    """Whether a manifest lists nothing of ours, or is not there."""
    return not (manifest.entries or manifest.lines or manifest.packages)


def mended(where: Deployment, category: str, tree: Tree) -> Optional[Plan]:
    """What puts damage in an image right; None: there is none. Raises Damaged."""
    damage = drift.of_tree(tree)
    if not damage:
        return None
    return mending.mending(imageplan.for_image(where, category, tree, adopt=True), tree.name, damage, manifest_of(tree))


def mend(where: Deployment, found: Plan, tree: Tree) -> None:
    """Put the damage right; raises what a provider raises."""
    heads.require_active(where.root)
    carry_out(found, imageplan.image_providers(where, tree), NoJournal(), where.originals)
    where.refresh()


def refuse_dead_links(where: Deployment, manifest: Manifest) -> None:
    """Raises CannotRoll: hooks that lead to nothing make BCM's prolog fail, which drains nodes (bcm-facts §13 #12)."""
    for path, entry in manifest.entries.items():
        target = str(entry.get("target", ""))
        shared = target.startswith("/cm/shared/") and path.startswith(tuple(hooks.FOLDERS.values()))
        if shared and not (where.root / target.lstrip("/")).is_file():
            cause = f"leads to {target}, which is not on shared storage"
            raise CannotRoll(f"hook {path}", cause, "Run: bcm-jobstats apply, or image build, which puts it there.")
