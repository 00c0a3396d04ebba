"""The file trees of the head nodes: where cmsh, cmha, the shared storage and the software images lie."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bcm_jobstats.simulator.images import clone_tree
from bcm_jobstats.simulator.layout import HEAD, IMAGES
from bcm_jobstats.simulator.schema import BCM10

RELEASES = {BCM10: "BCM v10.0", "bcm11": "BCM v11.0"}
PAPER_DIRECTORIES = ("etc/systemd/system", "usr/local/bin", "usr/lib")
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nslurm:x:450:450::/cm/local/apps/slurm:/bin/false\n",
    "etc/group": "root:x:0:\nslurm:x:450:\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\nslurm:!:19000::::::\n",
}
DIRECTORIES = (
    *("bin", "cm/images", "cm/local/apps/cmd/bin", "etc/systemd/system", "root", "tmp", "usr/local/bin"),
    "var/spool/cmd",
)
"""What every head node has of its own."""
TOOLS = ("cmsh", "cmha")


def roots(directory: Path, names: Sequence[str]) -> dict[str, Path]:
    """Where the heads' file trees lie: the first one's is the simulator's directory itself."""
    return {name: directory if name == names[0] else directory / "heads" / name for name in names}


def make_head(
    directory: Path,
    profile: str,
    seed: Callable[[Path], None],
    heads: Mapping[str, Path] | None = None,
) -> None:
    """Make what is not there yet of all heads; the first one's images are filled by `seed`, the others' are copies."""
    heads = heads or {HEAD: directory}
    for name in ("nodes", "cmd"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    if not (directory / "storage").is_dir():  # else /cm/shared is a mount point
        (directory / "cm/shared/apps").mkdir(parents=True, exist_ok=True)
    for name, root in heads.items():
        _make_root(directory, name, root, profile)
        for image in IMAGES:
            _make_image(root / "cm/images" / image, directory / "cm/images" / image, seed)


def _make_root(directory: Path, name: str, root: Path, profile: str) -> None:
    for place in DIRECTORIES:
        (root / place).mkdir(parents=True, exist_ok=True)
    (root / "etc/cm-release").write_text(RELEASES[profile] + "\n", encoding="utf-8")
    if not (root / "etc/hostname").exists():
        (root / "etc/hostname").write_text(name + "\n", encoding="utf-8")
    for tool in TOOLS:
        _make_tool(directory, name, root, tool)


def _make_image(image: Path, first: Path, seed: Callable[[Path], None]) -> None:
    if image.exists():
        return
    image.mkdir()
    if image == first:
        seed(image)
    else:
        clone_tree(first, image)


def _make_tool(directory: Path, name: str, root: Path, tool: str) -> None:
    """``bin/cmsh`` or ``bin/cmha``, isolated from the caller's Python settings; and the link where BCM has cmsh."""
    client = Path(__file__).with_name("client.py")
    words = [sys.executable, "-I", "-S", "-E", str(client), str(directory), name, tool]
    file = root / "bin" / tool
    file.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    file.chmod(0o755)
    link = root / "cm/local/apps/cmd/bin/cmsh"
    if tool == "cmsh" and not link.is_symlink():
        link.symlink_to(os.path.relpath(file, link.parent))


def seed_paper_image(root: Path) -> None:
    """An image for nodes without files: accounts and a few directories."""
    for name in PAPER_DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, text in ACCOUNTS.items():
        (root / name).write_text(text, encoding="utf-8")
