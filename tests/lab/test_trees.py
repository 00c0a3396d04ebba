"""Trees in layers: a sync that looks only at the layers does what a sync of the whole trees does."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.simulator.lab import disks
from bcm_jobstats.simulator.lab.bases import Bases
from bcm_jobstats.simulator.lab.trees import Trees
from bcm_jobstats.simulator.treesync import changed, sync_tree
from tests.lab import labs

pytestmark = [pytest.mark.lab, pytest.mark.skipif(labs.missing() is not None, reason=str(labs.missing()))]

SEEDS, STEPS = 15, 20
NAMES = ("a", "b", "c")


def fill(directory: Path, depth: int = 3) -> None:
    directory.mkdir(exist_ok=True)
    for name in NAMES:
        (directory / f"file-{name}").write_text(name)
        if depth > 1:
            fill(directory / name, depth - 1)


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    """An image and a node over one base."""
    fill(tmp_path / "base")
    made = Trees(tmp_path / "lab", Bases("bookworm", tmp_path / "base", tmp_path / "head"))
    try:
        image = made.directory / "cm/images/image"
        made.make_image(image, lambda root: None)
        assert made.lay_node("node", image)
        yield made
    finally:
        disks.unmount_below(tmp_path)


def change(root: Path, chance: random.Random) -> None:
    """Something that happens to a tree: a file written or removed, a directory removed, made anew, or moved."""
    places = [root, *(path for path in sorted(root.rglob("*")) if path.is_dir())]
    place, name = chance.choice(places), chance.choice(NAMES)
    target, kind = place / chance.choice([name, f"file-{name}"]), chance.randrange(5)
    if kind < 3 and target.is_dir():
        shutil.rmtree(target)
    elif kind < 2:
        target.unlink(missing_ok=True)
    if kind in {1, 3} and not target.exists():
        target.write_text(chance.choice("xyz") * 3)
    elif kind == 2 and not target.exists():
        fill(target, 1)
    elif target.exists():
        target.chmod(chance.choice([0o700, 0o755]))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_layers_tell_all_that_differs(trees: Trees, seed: int) -> None:
    chance = random.Random(seed)
    image, node = trees.directory / "cm/images/image", trees.node("node")
    for _ in range(STEPS):
        change(chance.choice([image, node]), chance)
    differing = trees.differing("node", image)
    whole = changed(sync_tree(image, node, dry_run=True))
    assert changed(sync_tree(image, node, dry_run=True, differing=differing)) == whole
    assert changed(sync_tree(image, node, differing=differing)) == whole
    assert changed(sync_tree(image, node, dry_run=True)) == []


def test_a_clone_starts_as_its_image_and_is_its_own(trees: Trees) -> None:
    image, copy = trees.directory / "cm/images/image", trees.directory / "cm/images/copy"
    (image / "own").write_text("image")
    shutil.rmtree(image / "a")
    trees.clone(image, copy)
    assert changed(sync_tree(image, copy, dry_run=True)) == [] and not (copy / "a").exists()
    (copy / "own").write_text("copy")
    assert (image / "own").read_text() == "image"
    trees.remove(copy, trees.directory)
    assert not os.path.lexists(copy) and (image / "own").exists()
