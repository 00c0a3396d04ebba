"""What BCM forbids and already uses is refused in the site file, before anything is asked of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcm_jobstats.site import SiteError
from bcm_jobstats.stack import load


def overlay(tmp_path: Path, text: str) -> None:
    (tmp_path / "site.yaml").write_text(text)
    load(tmp_path / "site.yaml", tmp_path)


PRIORITY = "roles: {{jobstats: {{attach: {{categories: [x]}}, priority: {}}}}}\n"


@pytest.mark.parametrize("priority", [0, 249, 251, 500, 749, 751, 1000])
def test_priorities_that_bcm_takes(tmp_path: Path, priority: int) -> None:
    """bcm-facts §2: 0 to 1000."""
    overlay(tmp_path, PRIORITY.format(priority))


@pytest.mark.parametrize("priority", [-2, -1, 250, 750, 1001])
def test_priorities_that_bcm_forbids(tmp_path: Path, priority: int) -> None:
    """bcm-facts §2: 250 and 750 are those of categories and nodes; with -1 an overlay would be ignored."""
    with pytest.raises(SiteError, match="priority"):
        overlay(tmp_path, PRIORITY.format(priority))


def test_the_port_of_cmdaemon_is_taken(tmp_path: Path) -> None:
    """bcm-facts §9: 8081; BCM itself uses none of the exporters' default ports."""
    with pytest.raises(SiteError, match="CMDaemon"):
        overlay(tmp_path, "exporters: {node_exporter: {port: 8081}}\n")
