"""Which files each software image should hold, from where the roles go."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.enable.places import Placement
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.trees import DEFAULT_MANIFEST, MANAGED, Tree, directory_state, file_state, link_state
from bcm_jobstats.imaging.update import PAYLOAD
from bcm_jobstats.plan.resource import Resource
from bcm_jobstats.stack import PayloadFile, Stack

DIRECTORY = "directory"
"""The kind of the folders on shared storage: the last of ours to go, for they hold the record of what nodes got."""
HOOK = "hook"
"""The kind of Slurm's hooks on shared storage: there before a node gets a link to one, gone after the links."""
SHARED = "shared"
RECORD = "/cm/shared/apps/jobstats/manifest.json"


def image_trees(cluster: Cluster, root: Path) -> list[Tree]:
    """Every software image whose directory is there; one that was left by a role may still hold our files."""
    trees = (Tree(image.name, root / image.path.lstrip("/"), image.path) for image in cluster.images.values())
    return [tree for tree in trees if tree.root.is_dir()]


def missing(cluster: Cluster, root: Path) -> Iterator[str]:
    """Software images of BCM that have no directory here: what we wrote into one of them cannot be taken back now."""
    for image in cluster.images.values():
        if not (root / image.path.lstrip("/")).is_dir():
            yield f"software image {image.name}: {image.path} is not there; what bcm-jobstats wrote into it stays in it"


def shared_tree(root: Path) -> Tree:
    """Shared storage. Its manifest has a place of its own, wherever the site puts its targets: it is found again when
    that changes, and by the other head."""
    return Tree(SHARED, root, "/", RECORD, confined=False)


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
    for hook in stack.shared_hooks({role for roles in by_image.values() for role in roles}, cluster.version):
        resources.append(_file(HOOK, shared, hook))
    for tree in images:
        if tree.name in by_image:
            resources += _image(stack, tree, by_image[tree.name], cluster.version)
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
    """Another user or group with the number that ours is to have."""
    recorded = Manifest(tree, DEFAULT_MANIFEST).lines
    for path in ("/etc/passwd", "/etc/group"):
        file = tree / path.lstrip("/")
        text = file.read_text(encoding="utf-8", errors="surrogateescape") if file.is_file() else ""
        for name, _, number in (line.split(":")[:3] for line in text.splitlines() if line.count(":") > 2):
            if number == str(stack.site.user.uid) and name not in {stack.site.user.name, *recorded.get(path, [])}:
                yield f"software image {image}: {name} in {path} has number {number}\n  Set user.uid to a free one."


def _shared(stack: Stack, shared: Tree) -> Iterator[Resource]:
    user = f"{stack.site.user.uid}:{stack.site.user.uid}"
    for folder in stack.shared_folders():
        yield Resource(DIRECTORY, f"{shared.name}:{folder}", directory_state(0o755, user), mark=MANAGED, whole=True)


def _file(kind: str, tree: Tree, file: PayloadFile) -> Resource:
    return Resource(kind, f"{tree.name}:{file.path}", file_state(file.content, file.mode), mark=MANAGED, whole=True)


def _image(stack: Stack, tree: Tree, roles: set[str], version: str) -> Iterator[Resource]:
    for file in stack.payload(roles):
        yield _file("file", tree, file)
    for link in stack.links(roles, version):
        yield Resource("file", f"{tree.name}:{link.path}", link_state(link.target), mark=MANAGED, whole=True)
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
        services = dict(_by_service(stack, payload))
        yield Resource("imageupdate", category, {PAYLOAD: _digest(payload), **services}, triggers=under, whole=True)


def _by_service(stack: Stack, payload: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The digest of what each service runs with: its files and the number of its user."""
    for service, paths in stack.files_by_service().items():
        files = {a: values for a, values in payload.items() if a.endswith(tuple(f":{path}" for path in paths))}
        if files:
            yield service, _digest({**files, "user": stack.site.user.uid})


def _digest(payload: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()[:16]
