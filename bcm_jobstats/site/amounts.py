"""Parts of a number of nodes: so many, or a percentage of them all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bcm_jobstats.site.document import describe, shape
from bcm_jobstats.site.problems import RefusedError
from bcm_jobstats.site.settings import Kind, Reader

if TYPE_CHECKING:
    import yaml


@dataclass(frozen=True)
class Amount:
    """A number of nodes, or a percentage of them."""

    number: int
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Amount:
        """Read `4` or `10%`; ValueError when it is neither."""
        match = re.fullmatch(r"(0|[1-9][0-9]{0,6})(%?)", text)
        if match is None:
            raise ValueError("a whole number, or one with % behind it")
        if match[2] and int(match[1]) > 100:
            raise ValueError("at most 100%")
        return cls(int(match[1]), bool(match[2]))

    def of(self, total: int) -> int:
        """How many of `total` nodes, at most all of them; percentages are rounded down."""
        return min(total, total * self.number // 100 if self.percent else self.number)

    def __str__(self) -> str:
        return f"{self.number}{'%' if self.percent else ''}"


@dataclass(frozen=True)
class AmountKind(Kind[Amount]):
    """A number of nodes or a percentage; `least` is the least number of either."""

    least: int = 0
    what: str = "a number of nodes, or a percentage such as 10%"

    def read(self, node: yaml.Node, path: str, reader: Reader) -> Amount:
        """The amount."""
        text = str(node.value) if shape(node) == "scalar" else ""
        try:
            amount = Amount.parse(text)
        except ValueError as error:
            raise RefusedError(f"must be {self.what}, not {describe(node)}", str(error)) from error
        if amount.number < self.least:
            raise RefusedError(f"must be {self.what}, not {describe(node)}", f"at least {self.least}")
        return amount
