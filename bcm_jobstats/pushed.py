"""What the nodes of each category were last updated with, beside rollouts: noted in the manifest on shared storage.

`apply` goes by it, and `destroy` brings the nodes of those categories to their images, and no others: as long as nodes
may have something of ours, their category is noted there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

from bcm_jobstats import planning
from bcm_jobstats.deployment import Deployment
from bcm_jobstats.imaging import payload, updates
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.rolled import nodes_of
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.imaging.update import PAYLOAD

AFTER_ROLLBACK, ROLLED_OUT = "rolled back", "rolled out"
"""Stand for the digests of what nodes have after a rollback, or where a rollout is not known to have brought all of it
to all: whatever they get next is another."""


def begun(where: Deployment, category: str, tree: Tree) -> None:
    """Nodes are to get an image that holds something of ours: note it, where nothing is noted of their category."""
    manifest = _manifest(where)
    if category in manifest.pushed or not tree.record.is_file():
        return
    manifest.pushed[category] = dict.fromkeys((PAYLOAD, *where.stack.files_by_service()), ROLLED_OUT)
    manifest.save()


def equal(where: Deployment, category: str, image: str) -> bool:
    """The nodes of a category are as their image: note that as `apply` does after its imageupdate, when nothing is to
    be changed in that image; returns whether that was so."""
    now = planning.for_apply(where)
    under = tuple(f"{kind}.{image}:" for kind in updates.KINDS)
    if any(change.address.startswith(under) for change in now.changes):
        return False
    for change in now.changes:
        if change.address == f"imageupdate.{category}" and change.after is not None:
            _note(where, category, change.after)
    return True


def returned(where: Deployment, category: str, source: Tree) -> None:
    """After a rollback nodes have what `source` has; `apply` is to restart their services when it changes that."""
    noted = _manifest(where).pushed.get(category)
    if noted is None:
        return
    if not _have_ours(where, category):
        _note(where, category, None)
    elif not source.record.is_file() or not equal(where, category, source.name):
        _note(where, category, dict.fromkeys(noted, AFTER_ROLLBACK))


def _have_ours(where: Deployment, category: str) -> bool:
    """Whether the image of a node of the category, or the one of the category, holds something of ours."""
    found = where.cluster.categories.get(category)
    used = {where.cluster.image_of(node) for node in nodes_of(category, where.cluster)}
    used.add(found.image if found else None)
    return any(tree.record.is_file() for tree in payload.image_trees(where.cluster, where.root) if tree.name in used)


def _note(where: Deployment, category: str, digests: Optional[Mapping[str, str]]) -> None:
    """None: nothing of ours."""
    manifest = _manifest(where)
    if digests is None:
        manifest.pushed.pop(category, None)
        manifest.drop_parents()
    else:
        manifest.pushed[category] = dict(digests)
    manifest.save()


def _manifest(where: Deployment) -> Manifest:
    shared = payload.shared_tree(where.root)
    return Manifest(shared.root, shared.manifest)
