"""Node lists in and out (bcm-facts §1.2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcm_jobstats.simulator.messages import CmshError
from bcm_jobstats.simulator.noderanges import collapse, expand


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ("node001,node003", ["node001", "node003"]),
        ("node001..node004", ["node001", "node002", "node003", "node004"]),
        ("node00[1-4]", ["node001", "node002", "node003", "node004"]),
        ("node[001-002]s[001-002]", ["node001s001", "node001s002", "node002s001", "node002s002"]),
        ("node001..node005,-node002..node003", ["node001", "node004", "node005"]),
        ("node00[1..7:2]", ["node001", "node003", "node005", "node007"]),
        ("dgx-09..dgx-11", ["dgx-09", "dgx-10", "dgx-11"]),
    ],
)
def test_a_node_list_is_expanded(told: str, names: list[str]) -> None:
    assert expand([told]) == names


def test_a_node_list_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "nodes").write_text("node001\nnode005..node006\n")
    assert expand([f"^{tmp_path}/nodes"]) == ["node001", "node005", "node006"]


@pytest.mark.parametrize("told", ["node005..node001", "node001..rack002", "node[1..5:0]"])
def test_a_range_that_makes_no_sense_is_refused(told: str) -> None:
    with pytest.raises(CmshError):
        expand([told])


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["node001", "node002"], ["node001", "node002"]),
        (["node003", "node001", "node002"], ["node001..node003"]),
        (["node009", "node010", "node011", "node013"], ["node009..node011", "node013"]),
        (["n9", "n10", "n11"], ["n9", "n10", "n11"]),
        (["a1", "b2", "a2", "a3"], ["a1..a3", "b2"]),
        ([], []),
    ],
)
def test_three_neighbours_are_told_in_dot_form(names: list[str], told: list[str]) -> None:
    assert collapse(names) == told


def test_what_is_told_is_understood_again() -> None:
    names = [f"node{number:03}" for number in (*range(1, 40), 50, 51, 53)]
    assert expand(collapse(names)) == names
