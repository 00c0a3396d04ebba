"""Nodes on paper that answer to `pexec` as if each had the files of its software image: for counting calls."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from bcm_jobstats.bcm.cmsh.adapter import CmshBcm
from bcm_jobstats.simulator import Simulator
from tests.harness import BINARIES

PROGRAM = "#!/bin/sh\n# SIMULATED stand-in: a program of a node on paper.\n"


@contextmanager
def answering(simulator: Simulator) -> Iterator[None]:
    """For the length of the block; the images' exporters become programs that can be run."""
    for image in (simulator.directory / "cm/images").iterdir():
        for name in BINARIES:
            if (image / name).exists():
                (image / name).write_text(PROGRAM)
                (image / name).chmod(0o755)
    real = CmshBcm.execute

    def execute(self: CmshBcm, nodes: Collection[str], command: str) -> Mapping[str, str]:
        told = dict(real(self, nodes, command))  # as many cmsh processes as without
        state = simulator.state()
        texts: dict[str, str] = {}
        for node in [name for name in told if state["device"][name]["kind"] != "HeadNode"]:
            image = _image(state["device"][node]["values"], state["category"])
            if image not in texts:
                texts[image] = _said(simulator.directory / "cm/images" / image, command)
            told[node] = texts[image]
        return told

    with mock.patch.object(CmshBcm, "execute", execute):
        yield


def _image(device: Mapping[str, Any], categories: Mapping[str, Any]) -> str:
    return str(device.get("softwareimage") or categories[device["category"]]["values"]["softwareimage"])


def _said(tree: Path, command: str) -> str:
    """What a node with the files of `tree` prints; it has shared storage mounted."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        subprocess.run(["cp", "-a", f"{tree}/.", str(root)], check=True)
        mount = root / "cm/shared"
        mount.parent.mkdir(exist_ok=True)
        shutil.rmtree(mount, ignore_errors=True)
        mount.symlink_to(tree.parents[1] / "shared")
        words = ["/bin/sh", "-c", command.replace("/etc/..", f"{root}/etc/..")]
        return subprocess.run(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60
        ).stdout
