"""The order in which nodes go, and how many may fail."""

from __future__ import annotations

import pytest

from bcm_jobstats.imaging.waves import Wave, cut, natural, too_many
from bcm_jobstats.site import Amount


def test_numbers_count() -> None:
    assert natural(["dgx-10", "dgx-9", "a", "dgx-9b", "dgx-010"]) == ["a", "dgx-9", "dgx-9b", "dgx-10", "dgx-010"]


CUTS = {
    "a tenth": (20, ["n1"], "10%", [1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1]),
    "at least one": (3, ["n1"], "10%", [1, 1, 1]),
    "a number": (7, ["n1"], "4", [1, 4, 2]),
    "all at once": (5, ["n1"], "100%", [1, 4]),
    "two canaries": (5, ["n1", "n2"], "3", [2, 3]),
    "all are canaries": (2, ["n1", "n2"], "1", [2]),
    "no canary": (3, [], "2", [2, 1]),
    "a canary that does not go": (2, ["other"], "5", [2]),
    "none": (0, [], "10%", []),
}


@pytest.mark.parametrize(("count", "canary", "wave", "sizes"), CUTS.values(), ids=CUTS)
def test_waves(count: int, canary: list[str], wave: str, sizes: list[int]) -> None:
    nodes = [f"n{number}" for number in range(1, count + 1)]
    waves = cut(nodes, canary, Amount.parse(wave))
    assert [len(one.nodes) for one in waves] == sizes
    assert sorted(name for one in waves for name in one.nodes) == sorted(nodes), "each node once"
    assert [one.canary for one in waves] == [
        number == 0 and bool(set(canary) & set(nodes)) for number in range(len(waves))
    ]


STOPS = {
    "a canary": (Wave(("a",), canary=True), 1, 1, 1, "5", True),
    "a canary that works": (Wave(("a",), canary=True), 0, 0, 1, "0", False),
    "one, none allowed": (Wave(("a",)), 1, 1, 10, "0", True),
    "as many as allowed": (Wave(("a",)), 1, 2, 10, "2", False),
    "one more": (Wave(("a",)), 1, 3, 10, "2", True),
    "percent of those that went": (Wave(("a",)), 1, 1, 19, "5%", True),
    "percent, rounded down": (Wave(("a",)), 1, 1, 20, "5%", False),
}


@pytest.mark.parametrize(("wave", "here", "failed", "done", "most", "stops"), STOPS.values(), ids=STOPS)
def test_too_many_failures(wave: Wave, here: int, failed: int, done: int, most: str, *, stops: bool) -> None:
    assert too_many(wave, here, failed, done, Amount.parse(most)) is stops
