"""What BCM's generic prolog and epilog would run on the nodes of an image: our hooks and what lies beside them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.stack import Stack, hooks

OURS, MISSING, FOREIGN, CHANGED, DANGLING, UNWANTED = "ours", "missing", "foreign", "changed", "dangling", "unwanted"
SHARED = "/cm/shared/"
CLOUD = ("-cmjob", "-cmjob.*")
"""How the names of scripts for cloud jobs end, which BCM does not run for others (bcm-facts §5.1)."""


@dataclass(frozen=True)
class HookLink:
    """One hook in one image. `target` is what the link there points to; empty: there is none."""

    image: str
    hook: str
    path: str
    state: str
    target: str

    @property
    def ok(self) -> bool:
        """Whether the hook is as it should be."""
        return self.state == OURS


@dataclass(frozen=True)
class Order:
    """The scripts of one folder of an image in the order they run; `before`: those that run before ours."""

    image: str
    folder: str
    scripts: tuple[str, ...]
    before: tuple[str, ...]


def links(
    stack: Stack, roles: Mapping[str, Collection[str]], trees: Sequence[Tree], root: Path, version: str
) -> Iterator[HookLink]:
    """Every hook that an image should have, or that we put there. `roles` maps an image to its roles, `root` holds the
    head node's files, shared storage among them, and `version` is BCM's."""
    for tree in trees:
        wanted = {link.path: link.target for link in stack.links(roles.get(tree.name, ()), version)}
        recorded = Manifest(tree.root, tree.manifest).entries
        for hook in hooks.of(hooks.NAMES):
            path = hooks.link_path(hook)
            if path in wanted or path in recorded:
                place = tree.locate(path)
                target = str(place.readlink()) if place.is_symlink() else ""
                state = _state(place, target, wanted.get(path), recorded=path in recorded)
                if state == OURS and not _runs(root if target.startswith(SHARED) else tree.root, target):
                    state = DANGLING
                yield HookLink(tree.name, hook, path, state, target)


def orders(found: Sequence[HookLink], trees: Sequence[Tree]) -> Iterator[Order]:
    """What runs before and after ours in the folders of the images that have hooks. One that fails is the last one to
    run (bcm-facts §5.1)."""
    for tree in trees:
        for folder in hooks.FOLDERS.values():
            paths = [PurePosixPath(link.path) for link in found if link.image == tree.name]
            ours = {path.name for path in paths if str(path.parent) == folder}
            if ours:
                scripts = _scripts(tree.locate(folder))
                yield Order(tree.name, folder, scripts, tuple(name for name in scripts if name < min(ours)))


def _state(place: Path, target: str, wanted: str | None, *, recorded: bool) -> str:
    if not os.path.lexists(place):
        return MISSING
    if recorded and wanted is None:
        return UNWANTED
    # An administrator's link that is the same as ours would be stays his, and does what ours would.
    if target and target == wanted:
        return OURS
    return CHANGED if recorded else FOREIGN


def _runs(root: Path, target: str) -> bool:
    script = root / target.lstrip("/")
    return script.is_file() and bool(script.stat().st_mode & 0o111)


def _scripts(folder: Path) -> tuple[str, ...]:
    names = sorted(path.name for path in folder.glob("[0-9][0-9]-*")) if folder.is_dir() else []
    return tuple(name for name in names if not any(PurePosixPath(name).match(f"*{end}") for end in CLOUD))
