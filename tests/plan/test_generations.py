"""The journal on disk: it holds the content of files, also of those that only root may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bcm_jobstats.plan.generations import Generations
from bcm_jobstats.plan.model import Plan


def test_nobody_but_root_can_read_what_a_run_changed(tmp_path: Path) -> None:
    (tmp_path / "generations").mkdir(mode=0o755)  # of an earlier release
    old = os.umask(0o022)
    try:
        number = Generations(tmp_path / "generations").begin(Plan((), (), ""))
    finally:
        os.umask(old)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {"generations": 0o700, f"{number:04d}": 0o700, "plan.json": 0o600}
