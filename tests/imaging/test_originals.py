"""Programs of an administrator that ours replaced: either head node gives them back, and nothing is left."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.harness import cluster, run, snapshot
from tests.imaging.artifacts import elf

PROGRAM, THEIRS = elf(), elf(rest=b"theirs" * 99)
PLACE = "cm/images/dgx-image/usr/local/bin/node_exporter"


@pytest.mark.parametrize("back", [("destroy",), ("rollback",)], ids=lambda words: words[0])
def test_a_program_that_was_taken_over_comes_back_without_the_heads_own_store(
    tmp_path: Path, back: tuple[str, ...]
) -> None:
    with cluster(tmp_path / "head", nodes=2) as simulator:
        root = simulator.directory
        told = f"file: /root/node_exporter, sha256: {hashlib.sha256(PROGRAM).hexdigest()}"
        site = root / "etc/bcm-jobstats/site.yaml"
        site.parent.mkdir(parents=True)
        site.write_text(f"artifacts: {{node_exporter: {{version: '1.9.1', x86_64: {{{told}}}}}}}\n")
        (root / "root").mkdir(exist_ok=True)
        (root / "root/node_exporter").write_bytes(PROGRAM)
        (root / PLACE).write_bytes(THEIRS)
        (root / PLACE).chmod(0o711)
        before = snapshot(root)
        outcome = run(root, "apply", "--yes", "-q", "--adopt")
        assert (outcome.status, (root / PLACE).read_bytes()) == (0, PROGRAM), outcome.err
        kept = root / "cm/shared/apps/jobstats/originals" / hashlib.sha256(THEIRS).hexdigest()
        assert kept.read_bytes() == THEIRS
        (root / "var/lib/bcm-jobstats/artifacts").rename(tmp_path / "lost")
        outcome = run(root, *back, "--yes", "-q")
        assert outcome.status == 0, outcome.err
        assert snapshot(root) == before
