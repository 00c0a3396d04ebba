"""Versions compare by their numbers; amounts are parts of a number of nodes."""

from __future__ import annotations

import pytest

from bcm_jobstats.site.amounts import Amount
from bcm_jobstats.site.versions import below, numbers


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("0.3.2", (0, 3, 2)),
        ("v0.3.2", (0, 3, 2)),
        ("1:4.8.2-1", (4, 8, 2)),
        ("1.9.1-1ubuntu0.1", (1, 9, 1)),
        ("1.9.1~rc1", (1, 9, 1)),
        ("1.9.1rc1", (1, 9, 1)),
        ("4.8.2-1.el9", (4, 8, 2)),
        ("4.8.3-ubuntu24.04u5", (4, 8, 3)),
        ("3.3.6-3.4.2", (3, 4, 2)),
        ("4.4.2-4.7.0-ubuntu22.04", (4, 7, 0)),
        ("10", (10,)),
        ("e248673", ()),
        ("0bf436e52ece9f741a81c5c931b12c52cbf91700", ()),
        ("", ()),
    ],
)
def test_the_numbers_of_a_version(version: str, told: tuple[int, ...]) -> None:
    assert numbers(version) == told


@pytest.mark.parametrize(
    ("version", "least", "older"),
    [
        ("0.3.2", "0.3.10", True),
        ("0.3.10", "0.3.2", False),
        ("1.5", "1.5.0", False),
        ("1.5.0", "1.5", False),
        ("1.5", "1.5.1", True),
        ("3.3.5-3.4.1", "3.3.6-3.4.2", True),
        ("4.8.2-1", "3.3.6-3.4.2", False),
        ("e248673", "0.2.2", False),
        ("0.1", "e248673", False),
    ],
)
def test_older(version: str, least: str, older: bool) -> None:
    assert below(version, least) is older


@pytest.mark.parametrize(
    ("text", "total", "part"),
    [("10%", 40, 4), ("10%", 9, 0), ("100%", 7, 7), ("0", 5, 0), ("3", 5, 3), ("9", 5, 5), ("34%", 3, 1), ("1%", 0, 0)],
)
def test_a_part_of_the_nodes(text: str, total: int, part: int) -> None:
    amount = Amount.parse(text)
    assert (amount.of(total), str(amount)) == (part, text)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "101%", "%", "01", "1 %", "ten"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match=r"whole number|at most"):
        Amount.parse(text)
