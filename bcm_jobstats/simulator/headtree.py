"""The file tree of the head node: where cmsh, the shared storage and the software images lie."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from bcm_jobstats.simulator.layout import IMAGES
from bcm_jobstats.simulator.schema import BCM10

RELEASES = {BCM10: "BCM v10.0", "bcm11": "BCM v11.0"}
PAPER_DIRECTORIES = ("etc/systemd/system", "usr/local/bin", "usr/lib")
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nslurm:x:450:450::/cm/local/apps/slurm:/bin/false\n",
    "etc/group": "root:x:0:\nslurm:x:450:\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\nslurm:!:19000::::::\n",
}


def make_head(directory: Path, profile: str, seed: Callable[[Path], None]) -> None:
    """Make what is not there yet; images are filled by `seed`."""
    for name in ("bin", "cm/shared/apps", "cm/images", "cm/local/apps/cmd/bin", "nodes", "etc", "cmd", "root"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "etc/cm-release").write_text(RELEASES[profile] + "\n", encoding="utf-8")
    _make_cmsh(directory)
    for name in IMAGES:
        image = directory / "cm" / "images" / name
        if not image.exists():
            image.mkdir()
            seed(image)


def _make_cmsh(directory: Path) -> None:
    """``bin/cmsh``, and the link to it where BCM has cmsh. Isolated from the caller's Python settings."""
    client = Path(__file__).with_name("client.py")
    words = [sys.executable, "-I", "-S", "-E", str(client), str(directory)]
    cmsh = directory / "bin" / "cmsh"
    cmsh.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    cmsh.chmod(0o755)
    link = directory / "cm/local/apps/cmd/bin/cmsh"
    if not link.is_symlink():
        link.symlink_to(os.path.relpath(cmsh, link.parent))


def seed_paper_image(root: Path) -> None:
    """An image for nodes without files: accounts and a few directories."""
    for name in PAPER_DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, text in ACCOUNTS.items():
        (root / name).write_text(text, encoding="utf-8")
