"""What of an image is put right before a rollout, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Optional

import pytest

from bcm_jobstats.imaging.drift import Difference
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.mending import Damaged, mending
from bcm_jobstats.plan.model import Change, Conflict, Plan
from bcm_jobstats.plan.resource import State

IMAGE = "dgx-image"
TEXT = {"type": "file", "content": "ours\n", "mode": "0644"}
PROGRAM = {"sha256": "f" * 64, "mode": "0755"}


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    found = Manifest(tmp_path, "/manifest.json")
    found.entries = {
        "/etc/ours": {"type": "file", "sha256": hashlib.sha256(b"ours\n").hexdigest()},
        "/etc/link": {"type": "symlink", "target": "/x"},
        "/usr/bin/program": {"type": "program", "sha256": "f" * 64},
    }
    found.lines = {"/etc/passwd": ["jobstats"]}
    return found


def plan(*changes: tuple[str, Optional[State]]) -> Plan:
    made = tuple(Change("update", f"{kind_and_name}", {}, after) for kind_and_name, after in changes)
    return Plan(made, (Conflict("file.other:/x", {}, {}),), "")


ALL = plan(
    (f"file.{IMAGE}:/etc/ours", TEXT),
    (f"file.{IMAGE}:/etc/link", {"type": "symlink", "target": "/x"}),
    (f"artifact.{IMAGE}:/usr/bin/program", PROGRAM),
    (f"line.{IMAGE}:/etc/passwd:jobstats", {"line": "jobstats:x"}),
    (f"file.{IMAGE}:/etc/new", TEXT),
    ("file.other:/etc/ours", TEXT),
    (f"file.{IMAGE}:/etc/gone", None),
)
DAMAGE = [Difference(path, "missing") for path in ("/etc/ours", "/etc/link", "/usr/bin/program", "/etc/passwd")]


def test_only_what_was_written_is_written_again(manifest: Manifest) -> None:
    made = mending(ALL, IMAGE, DAMAGE, manifest)
    assert [change.address for change in made.changes] == [change.address for change in ALL.changes[:4]]
    assert made.conflicts == ()


@pytest.mark.parametrize("path", ["/etc/new", "/etc/gone", "/etc/elsewhere"])
def test_what_the_manifest_does_not_record_is_refused(manifest: Manifest, path: str) -> None:
    with pytest.raises(Damaged, match=f"such as {path}"):
        mending(ALL, IMAGE, [*DAMAGE, Difference(path, "missing")], manifest)


def test_something_else_than_was_written_is_refused(manifest: Manifest) -> None:
    """The site file says something else now: that is a build."""
    other = plan((f"file.{IMAGE}:/etc/ours", {**TEXT, "content": "newer\n"}))
    with pytest.raises(Damaged, match="image build"):
        mending(other, IMAGE, DAMAGE[:1], manifest)
