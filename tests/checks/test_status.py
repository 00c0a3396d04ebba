"""What status counts as scraped."""

from __future__ import annotations

import pytest

from bcm_jobstats.checks.status import scraped

JOBS = ("node_exporter", "cgroup_exporter")


@pytest.mark.parametrize(
    ("node", "hostname", "count"),
    [("dgx-01", "dgx-01", 1), ("DGX-01", "DGX-01", 1), ("DGX-01", "dgx-01", 1), ("dgx-01", "dgx-02", 0)],
)
def test_a_node_is_found_under_the_name_that_it_registered(node: str, hostname: str, count: int) -> None:
    assert scraped(node, JOBS, {(hostname, "node_exporter"): True, (hostname, "cgroup_exporter"): False}) == count
