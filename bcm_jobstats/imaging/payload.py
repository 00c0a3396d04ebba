"""Which files each software image should hold, from where the roles go."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.enable.places import Placement
from bcm_jobstats.imaging.trees import MANAGED, Tree, directory_state, file_state
from bcm_jobstats.imaging.update import PAYLOAD
from bcm_jobstats.plan.resource import Resource
from bcm_jobstats.stack import Stack

DIRECTORY = "directory"
"""The kind of the folders on shared storage: the last of ours to go, for they hold the record of what nodes got."""
SHARED = "shared"
SHARED_ROOT = "/cm/shared"


def image_trees(cluster: Cluster, root: Path) -> list[Tree]:
    """Every software image whose directory is there; one that was left by a role may still hold our files."""
    trees = (Tree(image.name, root / image.path.lstrip("/"), image.path) for image in cluster.images.values())
    return [tree for tree in trees if tree.root.is_dir()]


def shared_tree(stack: Stack, root: Path) -> Tree:
    """The file system that holds the targets directory; its manifest lies beside that directory."""
    directory = Path(stack.site.targets.directory)
    shown = SHARED_ROOT if directory.is_relative_to(SHARED_ROOT) else "/"
    manifest = "/" + str((directory.parent / "manifest.json").relative_to(shown))
    return Tree(SHARED, root / shown.lstrip("/"), shown, manifest)


def roles_by_image(stack: Stack, placed: Sequence[Placement], cluster: Cluster) -> dict[str, set[str]]:
    """Software image -> the roles that its nodes have, or are to be able to have."""
    wanted: dict[str, set[str]] = {image: {role.name for role in stack.roles()} for image in stack.site.images}
    for placement in placed:
        for node in placement.nodes:
            image = None if node.is_head else cluster.image_of(node)
            if image:
                wanted.setdefault(image, set()).add(placement.role.name)
    return wanted


def desired(
    stack: Stack, placed: Sequence[Placement], cluster: Cluster, images: Sequence[Tree], shared: Tree
) -> list[Resource]:
    """Files and user of every image, the update of its nodes, and the folders on shared storage."""
    by_image = roles_by_image(stack, placed, cluster)
    resources = list(_shared(stack, shared)) if by_image else []
    for tree in images:
        if tree.name in by_image:
            resources += _image(stack, tree, by_image[tree.name])
    resources += _updates(stack, resources, set(by_image), cluster)
    return resources


def problems(stack: Stack, placed: Sequence[Placement], cluster: Cluster, root: Path) -> Iterator[str]:
    """What is missing in the images, without which the services could not start."""
    for image, roles in sorted(roles_by_image(stack, placed, cluster).items()):
        tree = root / cluster.images[image].path.lstrip("/") if image in cluster.images else None
        if tree is None or not tree.is_dir():
            yield f"software image {image}: there is no directory {tree}\n  Check it in cmsh: softwareimage; list"
            continue
        yield from _user_taken(stack, image, tree)
        for exporter, binary in stack.binaries(roles):
            if not (tree / binary.lstrip("/")).exists() and not (tree / binary.lstrip("/")).is_symlink():
                yield (
                    f"software image {image}: {exporter} has no program {binary}\n"
                    f"  Install it in the image, or set exporters.{exporter}.binary or .enabled in the site file."
                )


def _user_taken(stack: Stack, image: str, tree: Path) -> Iterator[str]:
    """Another user with the number that ours is to have."""
    passwd = tree / "etc/passwd"
    lines = passwd.read_text(encoding="utf-8").splitlines() if passwd.is_file() else []
    for name, number in ((line.split(":")[0], line.split(":")[2]) for line in lines if line.count(":") > 2):
        if number == str(stack.site.user.uid) and name != stack.site.user.name:
            yield f"software image {image}: user {name} has number {number}\n  Set user.uid to a free one."


def _shared(stack: Stack, shared: Tree) -> Iterator[Resource]:
    user = f"{stack.site.user.uid}:{stack.site.user.uid}"
    for folder in stack.shared_folders():
        path = "/" + str(Path(folder).relative_to(shared.shown))
        yield Resource(DIRECTORY, f"{SHARED}:{path}", directory_state(0o755, user), mark=MANAGED, whole=True)


def _image(stack: Stack, tree: Tree, roles: set[str]) -> Iterator[Resource]:
    for file in stack.payload(roles):
        yield Resource(
            "file", f"{tree.name}:{file.path}", file_state(file.content, file.mode), mark=MANAGED, whole=True
        )
    for path, line in stack.system_user().items():
        # Not every distribution has gshadow, and a file of that kind is not ours to make.
        if (tree.root / path).exists():
            yield Resource(
                "line", f"{tree.name}:/{path}:{stack.site.user.name}", {"line": line, MANAGED: True}, mark=MANAGED
            )


def _updates(stack: Stack, resources: Sequence[Resource], touched: set[str], cluster: Cluster) -> Iterator[Resource]:
    """Every category with nodes on an image that holds our files: nodes of one image get the same, role or no role."""
    images: dict[str, set[str]] = {}
    for node in cluster.nodes.values():
        image = None if node.is_head else cluster.image_of(node)
        if image in touched and node.category:
            images.setdefault(node.category, set()).add(str(image))
    for category, names in sorted(images.items()):
        under = tuple(f"{kind}.{image}:" for image in sorted(names) for kind in ("file", "line"))
        payload = {r.address: r.values for r in resources if r.address.startswith(under)}
        services = {
            service: _digest({a: v for a, v in payload.items() if a.endswith(tuple(f":{path}" for path in paths))})
            for service, paths in stack.files_by_service().items()
        }
        there = {service: digest for service, digest in services.items() if digest != _digest({})}
        yield Resource("imageupdate", category, {PAYLOAD: _digest(payload), **there}, triggers=under, whole=True)


def _digest(payload: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()[:16]
