"""Software images on the active head node's disk: copying one, removing one (bcm-facts §6)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Protocol

if TYPE_CHECKING:
    from bcm_jobstats.simulator.commits import Change
    from bcm_jobstats.simulator.events import Events
    from bcm_jobstats.simulator.ha import Heads

Task = Callable[[], None]


class ImageStore(Protocol):
    """How the trees of images are kept."""

    def clone(self, source: Path, target: Path) -> None:
        """Copy an image's tree, links as links; a tree that is there already is completed."""

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


def follow(
    changes: Iterable[Change], paths: Mapping[str, str], heads: Heads, events: Events, store: ImageStore
) -> Iterator[Task]:
    """The work on disk for a commit: images that were cloned, or removed with their data. `paths` are all images'."""
    for change in changes:
        if change.mode != "softwareimage":
            continue
        if change.base is None and change.cloned_from:
            yield _copier(paths.get(change.cloned_from, ""), paths[change.key], heads, events, store)
        elif change.mine is None and change.delete_data and change.base:
            yield _remover(str(change.base.values.get("path", "")), heads, store)


def _copier(source: str, target: str, heads: Heads, events: Events, store: ImageStore) -> Task:
    def copy() -> None:
        events.add([f"{heads.active}: Started to copy: {source} -> {target}"])
        store.clone(*(heads.root() / path.lstrip("/") for path in (source, target)))
        events.add([f"{heads.active}: Copied: {source} -> {target}"])

    return copy


def _remover(path: str, heads: Heads, store: ImageStore) -> Task:
    return lambda: store.remove(heads.root() / path.lstrip("/"), heads.root())


def clone_tree(source: Path, target: Path) -> None:
    """Copy a tree, links as links; one that is there already is completed."""
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)


def remove_tree(path: Path, directory: Path) -> None:
    """Remove a tree, if it lies below `directory`."""
    if directory in path.resolve().parents:
        shutil.rmtree(path, ignore_errors=True)
