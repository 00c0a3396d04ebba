"""Software images on the head node's disk: copying one, removing one (bcm-facts §6)."""

from __future__ import annotations

import shutil
from pathlib import Path


def clone_tree(source: Path, target: Path) -> None:
    """Copy an image's tree, links as links; a tree that is there already is completed."""
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)


def remove_tree(path: Path, directory: Path) -> None:
    """Remove an image's tree, if it lies in the simulator's directory."""
    if directory in path.resolve().parents:
        shutil.rmtree(path, ignore_errors=True)
