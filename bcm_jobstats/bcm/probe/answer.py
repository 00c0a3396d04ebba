"""What a question gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bcm_jobstats.bcm.cmsh import answers
from bcm_jobstats.bcm.probe.prober import Exchange, Prober

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Answer:
    """What the head said to one question; UNKNOWN when it could not be asked here."""

    answer: str
    evidence: str


Question = Callable[[Prober], Answer]


def first(text: str) -> str:
    """The first line with something in it."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "nothing")


def tables(exchange: Exchange) -> list[list[answers.Row]]:
    """The tables of an exchange."""
    return answers.tables(exchange.text)
