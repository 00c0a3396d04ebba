"""The demo, as the README gives it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def test_the_demo_tells_its_whole_story_and_leaves_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    tmp_path = tmp_path_factory.mktemp("demo")  # a short path: the daemon's socket lies below it
    command = [sys.executable, "-m", "bcm_jobstats.simulator.demo", "--nodes", "2"]
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "PYTHONPATH": str(TOP)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "dgx-01 is gone" in done.stdout
    assert done.stdout.rstrip().endswith("No changes. The cluster matches the configuration.")
    assert list(tmp_path.iterdir()) == []


def test_the_scripts_hand_their_options_on() -> None:
    for script in ("demo", "bench"):
        done = subprocess.run([TOP / "scripts" / script, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert f"usage: scripts/{script}" in done.stdout
