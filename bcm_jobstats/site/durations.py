"""Time spans in the notation of Prometheus, which is also that of the site file: `30s`, `1h30m`, `15d`."""

from __future__ import annotations

import re
from dataclasses import dataclass

UNITS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
"""Milliseconds per unit, as Prometheus counts them: a year has 365 days."""

_PATTERN = re.compile("".join(rf"(?:(?P<{unit}>\d+){unit})?" for unit in UNITS))


@dataclass(frozen=True, order=True)
class Duration:
    """A time span of whole milliseconds; its text form is what Prometheus and the site file read."""

    milliseconds: int

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read `1h30m`; ValueError says what is wrong. Units stand from the largest to the smallest, each once."""
        match = _PATTERN.fullmatch(text)
        if not text or match is None:
            raise ValueError(f"numbers with the units {', '.join(UNITS)}, the largest first")
        total = sum(int(number) * UNITS[unit] for unit, number in match.groupdict().items() if number)
        if total == 0:
            raise ValueError("it must be longer than nothing")
        return cls(total)

    @property
    def seconds(self) -> float:
        """The span in seconds."""
        return self.milliseconds / 1000

    def __str__(self) -> str:
        rest, text = self.milliseconds, ""
        for unit, size in UNITS.items():
            # Years, weeks and days only where nothing is left over, as Prometheus does: 25h is not 1d1h.
            if (unit in "ywd" and rest % size) or rest < size:
                continue
            text += f"{rest // size}{unit}"
            rest %= size
        return text
