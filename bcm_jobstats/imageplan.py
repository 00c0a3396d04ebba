"""Plans for one software image: what `image build` and a recipe write, and what `apply` writes in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bcm_jobstats.deployment import Deployment
from bcm_jobstats.imaging import contents, payload
from bcm_jobstats.imaging.contents import Content
from bcm_jobstats.imaging.lines import LineProvider
from bcm_jobstats.imaging.packages import PackageProvider
from bcm_jobstats.imaging.programs import ProgramProvider
from bcm_jobstats.imaging.trees import Tree, TreeProvider
from bcm_jobstats.plan import planner
from bcm_jobstats.plan.model import ADOPT, CREATE, Plan
from bcm_jobstats.plan.resource import Provider


def in_images(where: Deployment, trees: Sequence[Tree]) -> list[Provider]:
    """What is in software images: programs before the units that start them."""
    return [
        PackageProvider(16, 24, trees, where.store, where.root),
        ProgramProvider(18, 22, trees, where.store, where.originals),
        TreeProvider("file", 20, 20, trees),
        LineProvider(20, 20, trees),
    ]


def image_providers(where: Deployment, tree: Tree) -> list[Provider]:
    """What `image build` writes: one image, and the hooks on shared storage that its links lead to."""
    return [shared_hooks(where), *in_images(where, [tree])]


def shared_hooks(where: Deployment) -> TreeProvider:
    """Slurm's hooks on shared storage."""
    return TreeProvider(payload.HOOK, 12, 40, [payload.shared_tree(where.root)], types=("file",))


def for_image(where: Deployment, category: str, tree: Tree, *, adopt: bool = False, clone: bool = True) -> Plan:
    """What `image build` would change in an image that is for a category. All that is in a `clone` is ours to change;
    on shared storage, and in an image in use, only with `adopt`. Hooks on shared storage run on every node at once: for
    a clone those that lack are added, and `apply` changes the others."""
    content = contents.of_category(where.stack, where.placed(), where.cluster, category)
    wanted: dict[str, Content] = {**where.wanted, tree.name: content}
    version, originals = where.cluster.version, where.originals.all()
    hooks = payload.shared_hooks(where.stack, wanted, payload.shared_tree(where.root), version)
    files = payload.of_image(where.stack, tree, content, version, where.supplied)
    first = planner.make([shared_hooks(where)], hooks, adopt=adopt, originals=originals)
    if clone:
        own = payload.shared_hooks(where.stack, {tree.name: content}, payload.shared_tree(where.root), version)
        added = {one.address for one in own}
        kept = [one for one in first.changes if one.action in {ADOPT, CREATE} and one.address in added]
        first = replace(first, changes=tuple(kept))
    then = planner.make(in_images(where, [tree]), files, adopt=adopt or clone, originals=originals)
    return replace(
        then,
        changes=(*first.changes, *then.changes),
        conflicts=(*first.conflicts, *then.conflicts),
        fingerprint=f"{first.fingerprint}{then.fingerprint}",
        problems=tuple(payload.problems_of_image(where.stack, tree, content, where.supplied)),
        purpose="image",
        about=about(where, category=category, image=tree.name),
    )


def about(where: Deployment, **more: str) -> dict[str, str]:
    """What a plan says of where it was made."""
    return {"site": str(where.site_file), "bcm": where.cluster.version, "cluster": where.stack.site.cluster, **more}
