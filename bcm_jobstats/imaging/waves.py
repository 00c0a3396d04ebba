"""In which order nodes get their image, and how many of them may fail."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from bcm_jobstats.site import Amount


@dataclass(frozen=True)
class Wave:
    """Nodes that go together. After the canary any failure is one too many."""

    nodes: tuple[str, ...]
    canary: bool = False

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return "the canary" if self.canary else "the wave"


def natural(names: Iterable[str]) -> list[str]:
    """Names in the order of their numbers: dgx-9 before dgx-10."""
    return sorted(names, key=lambda name: [(int(part), "") if part.isdigit() else (-1, part)
                                           for part in re.split(r"(\d+)", name)])  # fmt: skip


def cut(nodes: Collection[str], canary: Collection[str], wave: Amount) -> list[Wave]:
    """The canary, then waves of the size `wave`, at least one node each; a percentage is one of all nodes."""
    first = natural(set(canary) & set(nodes))
    rest = natural(set(nodes) - set(first))
    size = max(1, wave.of(len(nodes)))
    waves = [Wave(tuple(rest[start : start + size])) for start in range(0, len(rest), size)]
    return [Wave(tuple(first), canary=True), *waves] if first else waves


def too_many(wave: Wave, failed_in_it: int, failed: int, done: int, most: Amount) -> bool:
    """Whether a rollout stops after a wave: any failure of the canary, then more than `most` of the `done` nodes."""
    return failed_in_it > 0 if wave.canary else failed > most.of(done)


def in_order(nodes: Iterable[str], waves: Sequence[Wave]) -> list[str]:
    """Nodes in the order in which they go."""
    wanted = set(nodes)
    return [node for wave in waves for node in wave.nodes if node in wanted]
