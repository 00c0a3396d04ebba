"""Carry out a plan: one change after the other, each in the journal before it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Optional, Protocol

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.plan.model import ADOPT, Change, Plan
from bcm_jobstats.plan.planner import read
from bcm_jobstats.plan.resource import Provider, State


class Journal(Protocol):
    """Where a run is written down before it changes anything."""

    def begin(self, plan: Plan) -> int:
        """Put `plan` on disk, durably, and return its number."""

    def finish(self, number: int) -> None:
        """Note that the run reached its end."""


class Originals(Protocol):
    """What an administrator had where we took over, until it is given back."""

    def all(self) -> Mapping[str, State]:
        """address -> state."""

    def hold(self, address: str, state: State) -> None:
        """Keep a state, durably; the first one kept for an address stays."""

    def release(self, address: str) -> None:
        """Forget one, if it is held."""


Progress = Callable[[Change, int, int], None]
"""Told of each change before it is made: the change, its number from 1, how many there are."""


class PlanRefused(JobstatsError):
    """The plan has conflicts or problems; nothing was changed."""


class StalePlan(JobstatsError):
    """The cluster changed since the plan was made; nothing was changed."""


class CannotWrite(JobstatsError):
    """The file system refused a change: full, read-only, or no permission."""


class NotAsPlanned(JobstatsError):
    """A change was made and what is there afterwards is something else."""


def carry_out(
    plan: Plan,
    providers: Sequence[Provider],
    generations: Journal,
    originals: Originals,
    progress: Progress = lambda *_: None,
) -> int:
    """Make every change of `plan` and verify each; returns the number of the generation.

    The plan is the journal: it is on disk before the first write, and a run that is killed at any point is
    completed by running the same command again. Raises PlanRefused, or what a provider raises.
    """
    refuse(plan)
    by_kind = {provider.kind: provider for provider in providers}
    number = generations.begin(plan)
    for count, change in enumerate(plan.changes, 1):
        progress(change, count, len(plan.changes))
        if change.action == ADOPT and change.before is not None:
            originals.hold(change.address, change.before)
        kept = _make(change, by_kind[change.kind])
        _verify(change, by_kind[change.kind], kept)
        if change.after is None or change.after == originals.all().get(change.address):
            originals.release(change.address)
    generations.finish(number)
    return number


def refuse(plan: Plan) -> None:
    """PlanRefused when the plan must not be carried out."""
    if plan.conflicts:
        names = ", ".join(conflict.address for conflict in plan.conflicts)
        raise PlanRefused(
            names, "is there already and bcm-jobstats did not make it", "Rename it, or take it over with: --adopt"
        )
    if plan.problems:
        raise PlanRefused("plan", plan.problems[0].replace("\n", " "), "Cure what the plan lists and run it again.")


def check_fresh(saved: Plan, now: Plan) -> None:
    """StalePlan unless the cluster still is what the saved plan was made from."""
    if saved.fingerprint != now.fingerprint:
        raise StalePlan(
            "saved plan",
            "is stale: the cluster was changed after the plan was made",
            "Make a new one with: bcm-jobstats plan --out FILE",
        )


def _make(change: Change, provider: Provider) -> Optional[State]:
    try:
        if change.after is None:
            return provider.remove(change.name, change.before or {})
        provider.write(change.name, change.before, change.after)
    except OSError as error:
        cause = f"{error.filename or 'a file'}: {error.strerror or error}"
        raise CannotWrite(
            change.address, cause, "Cure the cause and run the command again: it goes on here."
        ) from error
    return change.after


def _verify(change: Change, provider: Provider, expected: Optional[State]) -> None:
    found = read([provider], (), [change.address])[provider.kind].get(change.name)
    if found is None and expected is None:
        return
    if found is None or expected is None:
        raise NotAsPlanned(
            change.address, "is still there" if found else "is not there after it was written", "Run the command again."
        )
    wrong = [key for key, value in expected.items() if found.values.get(key) != value]
    if wrong:
        raise NotAsPlanned(
            change.address,
            f"{wrong[0]} is {found.values.get(wrong[0])!r}, not {expected[wrong[0]]!r}",
            "Somebody may have changed it meanwhile; run the command again.",
        )
