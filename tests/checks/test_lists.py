"""Exclude lists of the categories whose nodes run jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcm_jobstats.bcm.cmsh.adapter import CmshBcm
from bcm_jobstats.bcm.cmsh.imagework import CmshImageWork
from bcm_jobstats.bcm.errors import Unreadable
from bcm_jobstats.checks import lists
from tests.harness import cluster, cmsh


def test_the_lists_are_those_of_the_categories_and_none_where_one_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list").write_text("- /var/spool/*\n")
    with cluster(tmp_path / "head", nodes=3) as simulator:
        cmsh(simulator, f"category; use dgx-h100; set excludelistupdate {tmp_path}/list; commit")
        found, work = CmshBcm(simulator.cmsh, 30.0).read(), CmshImageWork(simulator.cmsh, 30.0)
        assert lists.of_jobs(found, lambda: work)["dgx-h100"] == "- /var/spool/*\n"

        def untold(category: str) -> None:
            raise Unreadable(category, "cmsh says nothing")

        monkeypatch.setattr(work, "exclude_lists", untold)
        assert lists.of_jobs(found, lambda: work) == {}
