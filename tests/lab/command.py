"""`scripts/lab` for tests: labs that it makes in directories of their own, and what it says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bcm_jobstats.simulator.lab import sweep
from bcm_jobstats.simulator.lab.pod import Pod


def words(directory: Path, *arguments: str) -> list[str]:
    """The words of a call of the command, for a lab in `directory`."""
    return [sys.executable, "-m", "bcm_jobstats.simulator.lab", "--directory", str(directory), *arguments]


def lab(directory: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command to its end, with `given` at its input."""
    return subprocess.run(words(directory, *arguments), check=False, capture_output=True, text=True, input=given)


@contextmanager
def up(directory: Path, *options: str) -> Iterator[Pod]:
    """A lab for the length of the block, by `lab up` and `lab down`."""
    try:
        done = lab(directory, "up", *options)
        assert done.returncode == 0, done.stderr
        yield Pod(directory)
        done = lab(directory, "down")
        assert done.returncode == 0 and not directory.exists(), done.stderr
    finally:
        sweep.sweep(directory)
