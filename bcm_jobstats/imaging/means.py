"""What a rollout or a rollback works with: BCM, the gate, the record, and who is told."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Callable, Optional, Protocol

from bcm_jobstats.bcm.imagework import ImageWork
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.drift import Difference
from bcm_jobstats.imaging.health import Verdict
from bcm_jobstats.imaging.record import Record


class Looks(Protocol):
    """What a rollout asks of the health gate."""

    def stale(self, nodes: Collection[str]) -> Mapping[str, Collection[str]]:
        """See Gate."""

    def verdicts(self, nodes: Collection[str]) -> Mapping[str, Verdict]:
        """See Gate."""


@dataclass
class Means:
    """What a rollout works with. `keep` saves a record; `guard` raises when this head may change nothing any more;
    `job` says why the test job failed on a node, "" that it did not."""

    work: ImageWork
    differing: Callable[[Collection[str]], Mapping[str, Optional[Sequence[Difference]]]]
    keep: Callable[[Record], object]
    guard: Callable[[], None]
    gate: Optional[Looks] = None
    job: Callable[[str], str] = lambda node: ""
    tell: Callable[[str], None] = lambda text: None
    bar: Callable[[int, int, int], None] = lambda done, failed, left: None
    calls: Counter[str] = field(default_factory=Counter)
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def change(self, what: str, change: Callable[[], object]) -> None:
        """Change something in BCM, unless a failover came; a failover meanwhile is the better reason."""
        self.guard()
        self.calls[what] += 1
        try:
            change()
        except JobstatsError:
            self.guard()
            raise
