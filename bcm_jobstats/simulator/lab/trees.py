"""The trees of a lab: the head node's, those of the software images and of the nodes, each a layer over a cached base.

All lies in the simulator's directory, which is the head node's root: `disks` holds what each tree has of its own. What
is mounted goes away with the machine or with `unmount`, and is mounted again by the next start.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Optional

from bcm_jobstats.simulator.lab import disks
from bcm_jobstats.simulator.lab.bases import Bases
from bcm_jobstats.simulator.treesync import Differing

DISKS = "disks"
IMAGES = "cm/images"
NODES = "nodes"
_MADE = "made"
"""Beside a layer: it is whole."""
_KEPT = ("cmd", DISKS)
"""What the simulator keeps in its directory besides the head node's tree, which is mounted over it."""


class Trees:
    """The trees of the lab in `directory`, over the trees of `bases`."""

    def __init__(self, directory: Path, bases: Bases) -> None:
        self.directory = directory
        self._bases = bases
        self.disks = directory / DISKS

    def mount_head(self) -> None:
        """Mount the head node's tree over the simulator's directory, and what is kept there into it again."""
        for name in _KEPT:
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        held = {name: os.open(self.directory / name, os.O_PATH | os.O_DIRECTORY) for name in _KEPT}
        try:
            disks.mount_overlay(self.directory, [self._bases.head, self._bases.node], self.disks / "head")
            disks.share(self.directory)  # an image that is cloned later is mounted below it
            for name, handle in held.items():
                disks.bind(Path(f"/proc/{os.getpid()}/fd/{handle}"), self.directory / name)
        finally:
            for handle in held.values():
                os.close(handle)

    def unmount(self) -> None:
        """Unmount everything; the disks stay."""
        disks.unmount_below(self.directory)

    def image_disk(self, path: Path) -> Path:
        """Where the layer of the image with a tree at `path` lies."""
        return self.disks / "images" / path.name

    def mount_images(self) -> None:
        """Mount all images that there are. One that was left half made is made anew by whoever misses it."""
        for disk in sorted((self.disks / "images").glob("*")):
            point = self.directory / IMAGES / disk.name
            if (disk / _MADE).exists():
                self._mount_image(point)
            else:
                disks.erase(disk)
                shutil.rmtree(point, ignore_errors=True)

    def make_image(self, path: Path, fill: Callable[[Path], None]) -> None:
        """Mount a new image with a tree at `path`: the base, and what `fill` puts into it."""
        self._mount_image(path)
        fill(path)
        (self.image_disk(path) / _MADE).touch()

    def clone(self, source: Path, target: Path) -> None:
        """Make `target` a copy of the image `source`: its layer is copied, or its files where it has none.

        OSError when that breaks off, as on a full disk; what is there of it stays.
        """
        if not source.is_dir():
            return
        if self.image_disk(source).is_dir() and not target.exists():
            try:
                disks.copy_tree(self.image_disk(source) / "upper", self.image_disk(target) / "upper")
            finally:  # what there is of a copy that broke off can be seen, until the lab starts again
                self._mount_image(target)
            (self.image_disk(target) / _MADE).touch()
        else:
            disks.copy_tree(source, target)

    def remove(self, path: Path, directory: Path) -> None:
        """Remove the image with a tree at `path`, if that lies below `directory`."""
        if directory not in path.resolve().parents:
            return
        disks.unmount_below(path)
        for tree in (path, self.image_disk(path)):
            shutil.rmtree(tree, ignore_errors=True)

    def _mount_image(self, path: Path) -> None:
        disks.mount_overlay(path, [self._bases.node], self.image_disk(path))

    def node(self, name: str) -> Path:
        """The root of a node."""
        return self.directory / NODES / name

    def laid(self, name: str) -> bool:
        """Whether a node has a disk that is whole."""
        return (self.disks / NODES / name / _MADE).exists()

    def lay_node(self, name: str, image: Path) -> bool:
        """Mount the disk of a node. A new one holds the image `image` after that: True; else False."""
        root, disk = self.node(name), self.disks / NODES / name
        if not (disk / _MADE).exists():
            disks.erase(disk)
        layered = not disk.exists() and self.image_disk(image).is_dir()
        if layered:
            disks.copy_tree(self.image_disk(image) / "upper", disk / "upper")
        if not disks.mounts_below(root):
            disks.mount_overlay(root, [self._bases.node], disk)
        (disk / _MADE).touch()
        return layered

    def differing(self, name: str, image: Path) -> Differing:
        """Where a node may differ from its image: in what one of them has in its layer. Both lie over one base."""
        uppers = (self.image_disk(image) / "upper", self.disks / NODES / name / "upper")
        whole: list[str] = []  # directories whose base is hidden in one of them, so that anything may differ there

        def names(path: str) -> Optional[set[str]]:
            if any(f"{path}/".startswith(hidden) for hidden in whole):
                return None
            found = [disks.layer_names(upper / path) for upper in uppers]
            if None in found:
                whole.append(f"{path}/")
                return None
            return {name for names in found for name in names or ()}

        return names if uppers[0].is_dir() else lambda path: None

    def remove_node(self, name: str) -> None:
        """The disk of a node is gone with it."""
        disks.unmount_below(self.node(name))
        shutil.rmtree(self.disks / NODES / name, ignore_errors=True)
