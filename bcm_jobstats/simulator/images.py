"""Software images on the active head node's disk: copying one, removing one (bcm-facts §6)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Protocol

from bcm_jobstats.simulator.faults import FAIL_CLONE, HANG_CLONE, Faults
from bcm_jobstats.simulator.treesync import sync_tree

if TYPE_CHECKING:
    from bcm_jobstats.simulator.commits import Change
    from bcm_jobstats.simulator.events import Events
    from bcm_jobstats.simulator.ha import Heads

Task = Callable[[], None]


class ImageStore(Protocol):
    """How the trees of images are kept."""

    def clone(self, source: Path, target: Path) -> None:
        """Copy an image's tree, links as links; a tree that is there already is completed.

        OSError when that breaks off, as on a full disk: what was copied until then stays.
        """

    def remove(self, path: Path, directory: Path) -> None:
        """Remove an image's tree, if it lies below `directory`."""


class PlainImages:
    """Images are directories."""

    def clone(self, source: Path, target: Path) -> None:
        """See ImageStore."""
        clone_tree(source, target)

    def remove(self, path: Path, directory: Path) -> None:
        """See ImageStore."""
        remove_tree(path, directory)


@dataclass
class Disk:
    """The images on the active head's disk: what a commit orders is done there, in the background."""

    heads: Heads
    events: Events
    store: ImageStore
    faults: Faults
    wait: Task
    """The time that a copy takes, by a switch."""
    copying: set[str] = field(default_factory=set)
    """The new images with a file operation in progress (bcm-facts §6)."""

    def copies(self, changes: Iterable[Change], paths: Mapping[str, str]) -> Iterator[Task]:
        """The copies that a commit orders; `paths` are those of all images."""
        for change in changes:
            if change.mode == "softwareimage" and change.base is None and change.cloned_from:
                self.copying.add(change.key)
                yield partial(self._copy, change.key, paths.get(change.cloned_from, ""), paths[change.key])

    def removals(self, changes: Iterable[Change]) -> Iterator[Task]:
        """The trees that go with their images, after a commit."""
        for change in changes:
            if change.mode == "softwareimage" and change.mine is None and change.delete_data and change.base:
                yield partial(self._remove, str(change.base.values.get("path", "")))

    def _copy(self, name: str, source: str, target: str) -> None:
        """A failed copy is told by an event and nothing else: how BCM tells it is unknown, and this the least."""
        head = self.heads.active
        self.events.add([f"{head}: Started to copy: {source} -> {target}"])
        try:
            self._copy_trees(name, self._tree(source), self._tree(target))
        except OSError as error:
            self.events.add([f"{head}: Failed to copy: {source} -> {target}: {error}"])
            return
        finally:
            self.copying.discard(name)
        self.events.add([f"{head}: Copied: {source} -> {target}"])

    def _copy_trees(self, name: str, source: Path, target: Path) -> None:
        self.wait()
        if self.faults.strike(HANG_CLONE, name=name):
            self.faults.hang()
        fault = self.faults.strike(FAIL_CLONE, name=name)
        if fault:
            copy_half(source, target)
            raise OSError(fault.message)
        self.store.clone(source, target)

    def _remove(self, path: str) -> None:
        self.store.remove(self._tree(path), self.heads.root())

    def _tree(self, path: str) -> Path:
        return self.heads.root() / path.lstrip("/")


def clone_tree(source: Path, target: Path) -> None:
    """Copy a tree, links as links; one that is there already is completed. OSError when the copy breaks off."""
    if source.is_dir():
        sync_tree(source, target, delete=False)


def copy_half(source: Path, target: Path) -> None:
    """The first half of what lies in a tree's root: a copy that broke off."""
    names = sorted(path.name for path in source.iterdir()) if source.is_dir() else []
    target.mkdir(parents=True, exist_ok=True)
    for name in names[: len(names) // 2]:
        if (source / name).is_dir() and not (source / name).is_symlink():
            shutil.copytree(source / name, target / name, symlinks=True, dirs_exist_ok=True)


def remove_tree(path: Path, directory: Path) -> None:
    """Remove a tree, if it lies below `directory`."""
    if directory in path.resolve().parents:
        shutil.rmtree(path, ignore_errors=True)
