"""Which files each software image should hold, from where the roles go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.enable.places import Placement
from bcm_jobstats.imaging import contents, elf
from bcm_jobstats.imaging.contents import Content
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.supplied import Supplied
from bcm_jobstats.imaging.trees import DEFAULT_MANIFEST, MANAGED, Tree, directory_state, file_state, link_state
from bcm_jobstats.plan.resource import Resource
from bcm_jobstats.stack import PayloadFile, Program, Stack, agent

Wanted = Mapping[str, Content]
"""Software image -> what it is to hold."""

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
    found = contents.of_images(stack, placed, cluster)
    return {image: set(content.roles) for image, content in found.items() if content.roles}


def desired(
    stack: Stack, wanted: Wanted, cluster: Cluster, images: Sequence[Tree], *, shared: Tree, supplied: Supplied
) -> list[Resource]:
    """Files, programs and user of every image, the update of its nodes, and the folders on shared storage."""
    resources = list(_shared(stack, shared)) if any(content.roles for content in wanted.values()) else []
    resources += shared_hooks(stack, wanted, shared, cluster.version)
    for tree in images:
        if tree.name in wanted:
            resources += of_image(stack, tree, wanted[tree.name], cluster.version, supplied)
    return resources


def shared_hooks(stack: Stack, wanted: Wanted, shared: Tree, version: str) -> list[Resource]:
    """Slurm's hooks on shared storage that the images lead to."""
    roles = {role for content in wanted.values() for role in content.roles}
    return [_file(HOOK, shared, hook) for hook in stack.shared_hooks(roles, version)]


def of_image(stack: Stack, tree: Tree, content: Content, version: str, supplied: Supplied) -> list[Resource]:
    """Everything that one image should hold; `version` is BCM's. The same for `apply`, `image build` and a recipe."""
    every = content.recipes or (None,)
    files = {file.path: file for recipe in every for file in stack.image_files(content.roles, recipe)}
    links = {link.path: link for recipe in every for link in stack.image_links(content.roles, recipe, version)}
    found = [_file("file", tree, file) for file in files.values()]
    for link in links.values():
        values = link_state(link.target)
        found.append(Resource("file", f"{tree.name}:{link.path}", values, mark=MANAGED, whole=True))
    found += supplied.resources(tree, programs(stack, content))
    user = f"{stack.site.user.uid}:{stack.site.user.uid}"
    if content.roles or any(file.owner == user for file in files.values()):
        found += _user(stack, tree)
    return found


def programs(stack: Stack, content: Content) -> list[Program]:
    """The programs of an image that the site supplies."""
    found = {one.name: one for recipe in content.recipes or (None,) for one in stack.programs(content.roles, recipe)}
    return list(found.values())


def problems(stack: Stack, wanted: Wanted, cluster: Cluster, root: Path, supplied: Supplied) -> Iterator[str]:
    """What is missing in the images, without which the services could not start."""
    for image, content in sorted(wanted.items()):
        path = cluster.images[image].path if image in cluster.images else None
        directory = root / path.lstrip("/") if path else None
        if path is None or directory is None or not directory.is_dir():
            yield f"software image {image}: there is no directory {directory}\n  Check it in cmsh: softwareimage; list"
            continue
        yield from problems_of_image(stack, Tree(image, directory, path), content, supplied)


def problems_of_image(stack: Stack, tree: Tree, content: Content, supplied: Supplied) -> Iterator[str]:
    """What is missing in one image, and what is wrong with the artifacts for it."""
    yield from _user_taken(stack, tree.name, tree.root)
    if stack.monitored and content.roles:
        yield from _python(tree)
    wanted = programs(stack, content)
    yield from supplied.problems(tree, wanted)
    brought = {program.exporter.name for program in wanted if program.exporter}
    for exporter, binary in stack.binaries(content.roles):
        there = tree.root / binary.lstrip("/")
        if exporter not in brought and not there.exists() and not there.is_symlink():
            yield (
                f"software image {tree.name}: {exporter} has no program {binary}\n"
                f"  Install it in the image, name it under artifacts in the site file, or set "
                f"exporters.{exporter}.binary or .enabled there."
            )


def _python(tree: Tree) -> Iterator[str]:
    """Why the role monitor could not run in an image. One without programs of its own, as a simulated one, has none."""
    if elf.of_tree(tree.root) is None:
        return
    found = elf.inside(tree.root, agent.PYTHON)
    version = re.search(r"python(\d+)\.(\d+)$", found.name) if found else None
    old = version is not None and (int(version[1]), int(version[2])) < agent.LEAST
    if found is None or old:
        least = ".".join(map(str, agent.LEAST))
        yield (
            f"software image {tree.name}: {agent.PYTHON} is {found.name if found else 'not there'}\n"
            f"  The role monitor needs Python {least} or later there: install it in the image, or choose another "
            "enable.mode in the site file."
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
    values = file_state(file.content, file.mode, file.owner)
    return Resource(kind, f"{tree.name}:{file.path}", values, mark=MANAGED, whole=True)


def _user(stack: Stack, tree: Tree) -> Iterator[Resource]:
    for path, line in stack.system_user().items():
        # Not every distribution has gshadow, and a file of that kind is not ours to make.
        if (tree.root / path).exists():
            name = f"{tree.name}:/{path}:{stack.site.user.name}"
            yield Resource("line", name, {"line": line, MANAGED: True}, mark=MANAGED)
