"""What each software image is to hold for its nodes: which roles' payload, and which recipes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from bcm_jobstats.bcm.entities import CATEGORY, OVERLAY, Cluster, Place
from bcm_jobstats.enable.places import Placement
from bcm_jobstats.imaging.record import BUILDING, CLONING, GRABBING, RETURNING, ROLLING, Record
from bcm_jobstats.stack import Recipe, Stack


@dataclass(frozen=True)
class Content:
    """The roles that an image's nodes have or are to be able to have, and the recipes of its categories that add
    something of their own."""

    roles: frozenset[str] = frozenset()
    recipes: tuple[Recipe, ...] = ()


def of_images(
    stack: Stack, placed: Sequence[Placement], cluster: Cluster, records: Collection[Record] = ()
) -> dict[str, Content]:
    """Software image -> what it is to hold. Categories without nodes count where an image was built for them."""
    roles: dict[str, set[str]] = {image: {role.name for role in stack.roles()} for image in stack.site.images}
    recipes: dict[str, dict[str, Recipe]] = {}
    for placement in placed:
        for node in placement.nodes:
            image = None if node.is_head else cluster.image_of(node)
            if image:
                roles.setdefault(image, set()).add(placement.role.name)
    built = {(record.category, record.image) for record in records}
    for name, category in sorted(cluster.categories.items()):
        own = of_category(stack, placed, cluster, name)
        if own.roles and (name, category.image) in built:
            roles.setdefault(category.image, set()).update(own.roles)
        for recipe in own.recipes:
            recipes.setdefault(category.image, {})[recipe.name] = recipe
    return {
        image: Content(frozenset(roles.get(image, ())), tuple(recipes.get(image, {}).values()))
        for image in sorted({*roles, *recipes})
    }


def of_category(stack: Stack, placed: Sequence[Placement], cluster: Cluster, category: str) -> Content:
    """What an image that is for the nodes of one category alone is to hold, whether or not it has nodes yet."""
    everywhere = cluster.categories[category].image in stack.site.images
    roles = {
        placement.role.name
        for placement in placed
        if everywhere
        or any(node.category == category and not node.is_head for node in placement.nodes)
        or any(category in _categories(placement, where, cluster) for where in placement.places)
    }
    recipe = stack.recipe_of(category, roles)
    adds = recipe is not None and any((recipe.files, recipe.links, recipe.units, recipe.artifacts))
    return Content(frozenset(roles), (recipe,) if recipe and adds else ())


def left_alone(records: Collection[Record], wanted: Collection[str]) -> set[str]:
    """Images that `apply` does not look into: those to which a rollout can go back, unless nodes want something of
    them (`wanted`), and those that are being built or rolled out."""
    clones = [one for record in records for one in record.chain if one.source != one.image]
    former = {record.source for record in clones if record.unfinished or record.source not in wanted}
    return former | {record.image for record in clones if record.unfinished}


def unfinished(records: Collection[Record]) -> Iterator[str]:
    """Builds and rollouts that keep `apply` from changing anything, as problems of a plan."""
    for record in records:
        go_on = f"bcm-jobstats image rollout {record.category}"
        if record.stage in {CLONING, BUILDING}:
            grabbed = record.digest == GRABBING
            cause = "is being grabbed for" if grabbed else "is being built for"
            go_on = "the same image grab" if grabbed else f"bcm-jobstats image build {record.category}"
        elif record.stage == ROLLING:
            cause = "is being rolled out to"
        elif record.stage == RETURNING:
            cause, go_on = "is being taken back from", ""
        else:
            cause = "was built for"
        if record.unfinished:
            after = " and is not rolled out" if cause == "was built for" else ""
            back = f"bcm-jobstats image rollback {record.category}"
            yield (
                f"image {record.image} {cause} category {record.category}{after}\n"
                f"  Go on with: {', or back with: '.join(filter(None, (go_on, back)))}"
            )


def _categories(placement: Placement, where: Place, cluster: Cluster) -> Collection[str]:
    if where.kind == CATEGORY:
        return (where.name,)
    overlay = placement.overlay if placement.overlay and not placement.manual else cluster.overlays.get(where.name)
    return overlay.categories if where.kind == OVERLAY and overlay else ()


def held(records: Collection[Record]) -> set[str]:
    """Categories whose nodes `apply` does not update meanwhile."""
    return {record.category for record in records if record.unfinished}
