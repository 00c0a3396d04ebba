"""Versions of programs, compared by their numbers."""

from __future__ import annotations

import re

_PAIRED = re.compile(r"\d+(?:\.\d+)+-(?=\d+(?:\.\d+){2})")
"""NVIDIA's tags of dcgm-exporter begin with the version of DCGM that it was built for: `3.3.6-3.4.2` (peers C7)."""
_NUMBERS = re.compile(r"(?:\d+:)?v?(\d+(?:\.\d+)*)(?=$|[-+~_ ]|rc)")


def numbers(version: str) -> tuple[int, ...]:
    """`0.3.2` and `1:0.3.2-1ubuntu2` as (0, 3, 2), `3.3.6-3.4.2` as (3, 4, 2); () where it is no version, as of a git
    revision."""
    match = _NUMBERS.match(_PAIRED.sub("", version, count=1))
    return tuple(int(number) for number in match[1].split(".")) if match else ()


def below(version: str, least: str) -> bool:
    """Whether `version` is older than `least`; what has no numbers is not: nobody can tell."""
    one, other = numbers(version), numbers(least)
    length = max(len(one), len(other))
    return bool(one and other) and _padded(one, length) < _padded(other, length)


def _padded(version: tuple[int, ...], length: int) -> tuple[int, ...]:
    return version + (0,) * (length - len(version))
