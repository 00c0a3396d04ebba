"""The logs of GPUs that are never without a job: they do not grow, and nobody is lost when they are written anew."""

from __future__ import annotations

import os

import pytest

from tests.hooks.node import MAPS, Node

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="hooks run as root: their directories are root's")


@pytest.mark.parametrize("sweeps", [False, True], ids=["no sweeper runs", "the sweeper runs"])
def test_a_log_stays_short(node: Node, sweeps: bool) -> None:
    node.starts(4100001)
    node.prolog(4100001, "0")
    longest = 0
    for job in range(4100002, 4100042):
        node.prolog(job, "0")
        node.epilog(job, "0")
        if sweeps and job % 5 == 0:
            node.sweep()
        longest = max(longest, *(len((node.home / map_ / "0").read_text().splitlines()) for map_ in MAPS))
    assert longest < (20 if sweeps else 53)
    assert node.shows("dcgm-job-map") == {"0": ["4100001"]}
