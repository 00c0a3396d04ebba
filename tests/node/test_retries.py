"""When a service that does not start is tried again."""

from __future__ import annotations

import pytest

from bcm_jobstats.node.retries import Attempts, Retries

YEAR = 365 * 86400.0


def retries() -> Retries:
    return Retries(600, 3, 3600)


def tried(subject: Retries, until: float, start: float = 0.0, every: float = 10.0) -> list[float]:
    """When it is tried, looking every 10 seconds, and fails each time."""
    times = []
    now = start
    while now < until:
        if subject.due("x", now):
            subject.failed("x", now)
            times.append(now)
        now += every
    return times


def test_three_attempts_soon_then_one_an_hour_for_ever() -> None:
    assert tried(retries(), 16000) == [0, 600, 1200, 4800, 8400, 12000, 15600]


@pytest.mark.parametrize(("most", "times"), [(0, [0, 3600, 7200]), (1, [0, 3600, 7200]), (2, [0, 600, 4200])])
def test_few_soon_attempts(most: int, times: list[float]) -> None:
    subject = Retries(600, most, 3600)
    assert tried(subject, 7500) == times
    subject.runs("x")
    subject.started("x", 8000)
    assert subject.pending == {}, "a start that worked is waited with when the service did not last"


def test_what_survives_a_restart_goes_on_where_it_was() -> None:
    before, after = retries(), retries()
    assert tried(before, 1000) == [0, 600]
    after.pending.update(before.pending)
    assert tried(after, 9000, start=1000) == [1200, 4800, 8400]


def test_running_clears_it() -> None:
    subject = retries()
    tried(subject, 2000)
    subject.started("x", 2000)
    assert subject.pending == {}
    assert tried(subject, 3300, start=2010) == [2010, 2610, 3210]


def test_a_service_that_never_lasts_a_round_is_waited_with() -> None:
    subject = retries()
    times = []
    for now in range(0, 9000, 60):  # found dead in every round, started with success each time
        if subject.due("x", now):
            subject.started("x", now)
            times.append(now)
    assert times == [0, 60, 120, 3720, 7320]
    subject.runs("x")
    assert subject.due("x", 7321)
    subject.started("x", 7321)
    assert subject.pending == {}


def test_services_do_not_share_attempts() -> None:
    subject = retries()
    subject.failed("x", 0)
    assert subject.due("y", 0)
    assert not subject.due("x", 0)


@pytest.mark.parametrize("jump", [-YEAR, -700.0, -1.0, YEAR])
@pytest.mark.parametrize("attempts", [1, 5])
def test_a_clock_that_is_set_does_not_stall_it(jump: float, attempts: int) -> None:
    subject = retries()
    now = YEAR
    for _ in range(attempts):
        subject.failed("x", now)
        now += 10
    longest = 600 if attempts < 3 else 3600
    assert tried(subject, now + jump + longest + 20, start=now + jump)


def test_a_clock_that_is_set_there_and_back_does_not_stall_it() -> None:
    subject = retries()
    tried(subject, 100)
    tried(subject, YEAR + 100, start=YEAR)
    assert tried(subject, 110, start=100) == [100]


def test_nonsense_from_a_file_does_not_stall_it() -> None:
    subject = retries()
    subject.pending["x"] = Attempts(1, 0, YEAR, slow=False)
    assert subject.due("x", 10)
