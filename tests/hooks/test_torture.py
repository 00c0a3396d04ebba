"""The torture of the hooks: many writers on the same GPUs, killed hooks, a sweeper and a reader, all at once.

BCM_JOBSTATS_TORTURE=WRITERSxROUNDS says another size (20x200 is the full one).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.hooks.node import Node
from tests.hooks.torture import Torture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="hooks run as root: their directories are root's"),
]
WRITERS, ROUNDS = map(int, os.environ.get("BCM_JOBSTATS_TORTURE", "20x20").split("x"))
REFERENCE = Path(__file__).parent / "reference"


@pytest.mark.parametrize(
    ("settings", "kinds", "share"),
    [({}, ("dcgm",), 1), ({"mode": "both"}, ("dcgm", "jobstats"), 4)],
    ids=["dcgm", "both-maps"],
)
def test_nothing_is_lost_stale_or_half_written(
    settings: dict[str, str], kinds: tuple[str, ...], share: int, tmpfs: Path
) -> None:
    # Other tests may keep the processors: here nobody gives the lock up. That hooks do is tested in test_faults.
    node = Node(tmpfs / "node", wait="30", **settings)
    torture = Torture(node, WRITERS, ROUNDS // share, kinds=kinds)
    torture.run()
    print(torture.figures())
    assert (torture.lost, torture.stale, torture.unreadable, torture.failed) == ([], [], [], []), torture.figures()
    assert torture.killed > 0
    assert torture.node.failures() == {}
    torture.settle()
    assert torture.left() == {"gpustat": {}, "dcgm-job-map": {}}
    assert torture.node.info() == []


def test_it_finds_what_hooks_without_a_lock_lose(tmpfs: Path) -> None:
    """The same on hooks that append, and remove with `sed -i`."""
    node = Node(tmpfs / "node")
    for name in ("prolog-dcgm", "epilog-dcgm"):
        node.install(f"{name}.sh", (REFERENCE / f"{name}.sh").read_text())
    (node.run / "dcgm-job-map").mkdir()
    torture = Torture(node, WRITERS, 10, kills=0, sweeps=False)
    torture.run()
    print(torture.figures())
    assert torture.lost
    assert torture.stale
    assert torture.left()["dcgm-job-map"]
