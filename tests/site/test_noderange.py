"""Node ranges of BCM and ClusterShell."""

from __future__ import annotations

import pytest

from bcm_jobstats.site.noderange import LIMIT, RangeError, expand, fold

EXPANDED = {
    "dgx-01": ["dgx-01"],
    "dgx-[01-03]": ["dgx-01", "dgx-02", "dgx-03"],
    "dgx-01..dgx-03": ["dgx-01", "dgx-02", "dgx-03"],
    "dgx-[08-11]": ["dgx-08", "dgx-09", "dgx-10", "dgx-11"],
    "n[8-11]": ["n8", "n9", "n10", "n11"],
    "node001..node003,node007": ["node001", "node002", "node003", "node007"],
    "r[1-2]n[01-02]": ["r1n01", "r1n02", "r2n01", "r2n02"],
    "dgx-[01,03,05-06]": ["dgx-01", "dgx-03", "dgx-05", "dgx-06"],
    "a[1-2]x,b": ["a1x", "a2x", "b"],
    "dgx-01, dgx-01 ,login": ["dgx-01", "login"],
    "7": ["7"],
}


@pytest.mark.parametrize(("text", "names"), EXPANDED.items())
def test_expand(text: str, names: list[str]) -> None:
    assert expand(text) == names


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "no node"),
        ("a,,b", "empty entry"),
        ("dgx-[3-1]", "comes after"),
        ("dgx-[01-004]", "differ in width"),
        ("dgx-[01", "without"),
        ("dgx-01]", "bracket too many"),
        ("dgx-[[1]]", "bracket too many"),
        ("dgx-[]", "not a number"),
        ("dgx-[a-b]", "not a number"),
        ("dgx-[1-2-3]", "not a number"),
        ("a1..b2", "same name"),
        ("dgx..", "same name"),
        ("-x", "host name"),
        ("x" * 64, "host name"),
        ("dgx_1", "host name"),
        ("dgx-01;quit", "host name"),
        (f"n[0-{LIMIT}]", "more than 100,000"),
        ("n[1-999999999999999999]", "more than 100,000"),
        ("r[1-1000]n[1-1000]", "more than 100,000"),
        ("٣[1-2]", "host name"),
    ],
)
def test_what_is_no_range_is_refused_with_its_cause(text: str, cause: str) -> None:
    with pytest.raises(RangeError, match=cause):
        expand(text)


def test_the_largest_range_that_is_allowed() -> None:
    assert len(expand(f"n[1-{LIMIT}]")) == LIMIT


FOLDED = {
    ("dgx-01",): "dgx-01",
    ("dgx-03", "dgx-01", "dgx-02"): "dgx-[01-03]",
    ("dgx-09", "dgx-10", "dgx-11"): "dgx-[09-11]",
    ("n9", "n10", "n8"): "n[8-10]",
    ("dgx-01", "dgx-04", "dgx-05", "login"): "dgx-[01,04-05],login",
    ("n1", "n01"): "n01,n1",
    ("a", "b"): "a,b",
    ("n0", "n1"): "n[0-1]",
    (): "",
}


@pytest.mark.parametrize(("names", "text"), FOLDED.items())
def test_fold(names: tuple[str, ...], text: str) -> None:
    assert fold(names) == text
    assert not names or sorted(expand(text)) == sorted(names)


def test_fold_undoes_expand_for_every_width() -> None:
    for text in ("x[098-103]", "x[1-200]", "x[01-99],x[100-120]", "x[001-010],x[01-10],x[1-10]"):
        names = expand(text)
        assert sorted(expand(fold(names))) == sorted(names), text
