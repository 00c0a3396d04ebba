"""The options of cmsh's commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from getopt import GetoptError, gnu_getopt

from bcm_jobstats.simulator.messages import usage


def options(words: Sequence[str], known: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The options of a command by their long names, and its other words; `known` is long name -> letter."""
    found, rest = _options(tuple(words), tuple(known.items()))
    return dict(found), list(rest)


@lru_cache(maxsize=1024)
def _options(
    words: tuple[str, ...], known: tuple[tuple[str, str], ...]
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    short = "".join(letter + (":" if name.endswith("=") else "") for name, letter in known if letter)
    letters = {letter: name.rstrip("=") for name, letter in known}
    try:
        found, rest = gnu_getopt(list(words), short, [name for name, _ in known])
    except GetoptError as error:
        raise usage(str(error)) from error
    named = ((key[2:] if key.startswith("--") else letters[key[1:]], value) for key, value in found)
    return tuple(named), tuple(rest)
