"""Services that do not start: a few attempts soon, then one an hour for ever (peers A4 4.7, B4: the seed gives up)."""

from __future__ import annotations

from typing import NamedTuple


class Attempts(NamedTuple):
    """What was tried with one service. Seconds since 1970."""

    made: int
    last: float
    next: float
    slow: bool
    """Whether the soon ones are used up; the seed's `failed_permanently`."""


class Retries:
    """`pending` has the services that are waited with, and is what survives a restart of the agent."""

    def __init__(self, soon: float, most: int, slow: float) -> None:
        """`most` attempts with `soon` seconds between them, then one every `slow` seconds; 0: that at once."""
        self.soon, self.most, self.slow = soon, most, slow
        self.pending: dict[str, Attempts] = {}
        self._brief: dict[str, int] = {}
        """How many times in a row a service was started and did not run any more in the next round."""

    def go_on(self, former: Retries) -> None:
        """Wait with the services that another agent of this process waited with."""
        self.pending, self._brief = former.pending, former._brief

    def due(self, service: str, now: float) -> bool:
        """Whether to try to start it now. A clock that was set back, or far forward and back, must not stall it."""
        attempts = self.pending.get(service)
        if attempts is None:
            return True
        longest = (self.slow if attempts.slow else self.soon) + 1  # the file keeps microseconds
        return now >= attempts.next or now < attempts.last or attempts.next - attempts.last > longest

    def failed(self, service: str, now: float) -> Attempts:
        """It was tried and does not run."""
        before = self.pending.get(service)
        count = before.made + 1 if before else 1
        return self._wait(service, count, now)

    def started(self, service: str, now: float) -> None:
        """It was tried and runs. One that never lasts until the next round is waited with like one that fails."""
        brief = self._brief.get(service, 0) + 1
        self._brief[service] = brief
        if brief >= max(self.most, 2):  # once proves nothing
            self._wait(service, brief, now)
        else:
            self.pending.pop(service, None)

    def runs(self, service: str) -> None:
        """It was found running at the beginning of a round: all is forgotten."""
        self.pending.pop(service, None)
        self._brief.pop(service, None)

    def clear(self) -> None:
        """Nothing is to run any more."""
        self.pending.clear()
        self._brief.clear()

    def _wait(self, service: str, count: int, now: float) -> Attempts:
        slow = count >= self.most
        attempts = Attempts(count, now, now + (self.slow if slow else self.soon), slow)
        self.pending[service] = attempts
        return attempts
