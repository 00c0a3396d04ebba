"""What the nodes of each category are to get of their images: digests by which it is known whether they have it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence

from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.imaging.update import PAYLOAD
from bcm_jobstats.plan.resource import Resource
from bcm_jobstats.stack import Stack

KINDS = ("file", "line", "artifact", "package")
"""The kinds of what is in images."""


def desired(
    stack: Stack, resources: Sequence[Resource], touched: Collection[str], cluster: Cluster, held: Collection[str]
) -> Iterator[Resource]:
    """The update of every category with nodes on an image that holds something of ours, but those that are `held`:
    nodes of one image get the same, role or no role."""
    images: dict[str, set[str]] = {}
    for node in cluster.nodes.values():
        image = None if node.is_head else cluster.image_of(node)
        if image in touched and node.category and node.category not in held:
            images.setdefault(node.category, set()).add(str(image))
    for category, names in sorted(images.items()):
        under = tuple(f"{kind}.{image}:" for image in sorted(names) for kind in KINDS)
        digests = of_resources(stack, [one for one in resources if one.address.startswith(under)])
        yield Resource("imageupdate", category, digests, triggers=under, whole=True)


def images_of_categories(cluster: Cluster, trees: Sequence[Tree]) -> dict[str, list[Tree]]:
    """Category -> the images that its nodes have."""
    used: dict[str, set[str]] = {}
    for node in cluster.nodes.values():
        if node.category and not node.is_head:
            used.setdefault(node.category, set()).add(cluster.image_of(node) or "")
    return {category: [tree for tree in trees if tree.name in names] for category, names in sorted(used.items())}


def as_recorded(shared: Tree, held: Collection[str]) -> Iterator[Resource]:
    """The updates that were made of categories that are not to be updated now: nothing changes about them."""
    pushed = Manifest(shared.root, shared.manifest).pushed
    yield from (Resource("imageupdate", name, pushed[name], whole=True) for name in sorted(held) if name in pushed)


def of_resources(stack: Stack, resources: Sequence[Resource]) -> dict[str, str]:
    """The digest of all that an image holds for us, and for each service of what it runs with."""
    payload = {one.address: one.values for one in resources}
    return {PAYLOAD: _digest(payload), **dict(_by_service(stack, payload))}


def _by_service(stack: Stack, payload: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The digest of what each service runs with: its files, its program, and the number of its user."""
    for service, paths in stack.files_by_service().items():
        ends = tuple(f":{name}" for name in (*paths, *_programs(stack).get(service, ())))
        files = {address: values for address, values in payload.items() if address.endswith(ends)}
        if files:
            yield service, _digest({**files, "user": stack.site.user.uid})


def _programs(stack: Stack) -> dict[str, set[str]]:
    """Service -> the paths and the packages of its exporters' programs, where the site supplies them."""
    found: dict[str, set[str]] = {}
    for one in stack.programs([role.name for role in stack.roles()], None):
        if one.exporter:
            packages = {supply.package for supply in one.artifact.supplies.values() if supply.package}
            found.setdefault(stack.service_of(one.exporter.name), set()).update({one.path, *packages})
    return found


def _digest(payload: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()[:16]
