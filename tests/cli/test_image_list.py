"""`image list`: the images, who uses them, what of ours is in them, and what they were built for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.payload import shared_tree
from bcm_jobstats.imaging.record import BUILT, ROLLING, VERIFIED, NodeRecord, Record, Records
from bcm_jobstats.imaging.trees import DEFAULT_MANIFEST
from bcm_jobstats.simulator import Simulator
from tests.harness import cluster, cmsh, run

PROGRAM = {"type": "program", "sha256": "0" * 64, "mode": "0755", "owner": "0:0", "version": "1.9.1"}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A clone that two nodes use already, and an image without a directory."""
    with cluster(tmp_path_factory.mktemp("list") / "head", nodes=12) as started:
        cmsh(started, "softwareimage; clone dgx-image dgx-image-jobstats; commit -w")
        cmsh(started, "device; foreach -n dgx-02..dgx-03 (set softwareimage dgx-image-jobstats); commit")
        cmsh(started, "softwareimage; add gone; set path /cm/images/gone; commit")
        root = started.directory
        manifest = Manifest(root / "cm/images/dgx-image-jobstats", DEFAULT_MANIFEST)
        manifest.entries = {
            "/usr/local/bin/node_exporter": PROGRAM,
            "/etc/a": {"type": "file"},
            "/b": {"type": "symlink"},
        }
        manifest.packages = {"datacenter-gpu-manager-exporter": "4.5.3-4.8.2"}
        manifest.save()
        yield started


@pytest.fixture
def root(simulator: Simulator) -> Iterator[Path]:
    yield simulator.directory
    Records(shared_tree(simulator.directory)).remove("dgx-h100")


def told(root: Path) -> dict[str, dict[str, Any]]:
    outcome = run(root, "image", "list", "--json")
    assert outcome.status == 0, outcome.err
    return {row["image"]: row for row in json.loads(outcome.out)}


def test_who_uses_an_image_and_what_is_in_it(root: Path) -> None:
    found = told(root)
    assert found["dgx-image"]["categories"] == ["dgx-h100"]
    assert found["dgx-image"]["node_range"] == "dgx-[01,04-12]"
    assert found["dgx-image"]["content"] == {"files": 0, "programs": {}, "packages": {}, "problem": ""}
    assert found["dgx-image-jobstats"]["categories"] == []
    assert found["dgx-image-jobstats"]["nodes"] == ["dgx-02", "dgx-03"]
    assert found["dgx-image-jobstats"]["content"] == {
        "files": 2,
        "programs": {"/usr/local/bin/node_exporter": "1.9.1"},
        "packages": {"datacenter-gpu-manager-exporter": "4.5.3-4.8.2"},
        "problem": "",
    }
    assert found["gone"]["content"]["problem"] == "its directory is not there"


def test_what_an_image_was_built_for(root: Path) -> None:
    records = Records(shared_tree(root))
    records.save(Record("dgx-h100", "dgx-image", "dgx-image-jobstats", BUILT))
    assert "for dgx-h100 from dgx-image: built" in run(root, "image", "list").out
    nodes = {"dgx-02": NodeRecord("", VERIFIED), "dgx-03": NodeRecord("", "moved")}
    records.save(Record("dgx-h100", "dgx-image", "dgx-image-jobstats", ROLLING, "", nodes))
    outcome = run(root, "image", "list")
    line, before = (next(one for one in outcome.out.splitlines() if one.startswith(f"{name} "))
                    for name in ("dgx-image-jobstats", "dgx-image"))  # fmt: skip
    assert "2: dgx-[02-03]" in line and "2 files, node_exporter 1.9.1, package datacenter-gpu-manager-exporter" in line
    assert line.endswith("for dgx-h100 from dgx-image: rolling, 1 of 2 nodes verified")
    assert before.endswith("was dgx-h100's before dgx-image-jobstats")
    built = told(root)["dgx-image-jobstats"]["built"]
    assert [(one["stage"], one["verified"], one["nodes"]) for one in built] == [(ROLLING, 1, 2)]
    records.save(Record("dgx-h100", "dgx-image", "dgx-image", BUILT))
    assert "for dgx-h100 in place: built" in run(root, "image", "list").out


def test_a_manifest_that_cannot_be_read_is_told_and_the_rest_too(root: Path) -> None:
    file = root / "cm/images/login-image/etc/bcm-jobstats/manifest.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    try:
        assert told(root)["login-image"]["content"]["problem"].startswith("its manifest cannot be read")
    finally:
        file.unlink()
        file.parent.rmdir()
