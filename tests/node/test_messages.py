"""What the agent says, and what it keeps for that."""

from __future__ import annotations

import gc
import weakref

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.node.messages import NOTICE, WARNING, Messages


class List:
    """Stands for a list of all devices."""


def failed() -> tuple[JobstatsError, weakref.ref[List]]:
    devices = List()
    try:
        try:
            raise ValueError(devices)
        except ValueError as cause:
            raise JobstatsError("BCM", "its answer\nis odd", "Ask again.") from cause
    except JobstatsError as error:
        return error, weakref.ref(devices)


def test_a_problem_is_said_when_it_is_new_and_when_it_is_over() -> None:
    said: list[tuple[int, str]] = []
    messages = Messages(lambda priority, line: said.append((priority, line)))
    for cause in ("one", "one", "two", "one"):
        messages.problem("x", JobstatsError("x", cause))
    messages.over("x")
    messages.over("x")
    messages.over("y")
    assert said == [
        (WARNING, "x: one"),
        (WARNING, "x: two"),
        (WARNING, "x: one"),
        (NOTICE, "x: is in order again"),
    ]


def test_a_problem_is_one_line_and_holds_nothing_of_where_it_arose() -> None:
    said: list[str] = []
    messages = Messages(lambda priority, line: said.append(line))
    error, held = failed()
    assert held() is not None
    messages.problem("bcm", error)
    gc.collect()
    assert held() is None
    assert said == ["BCM: its answer; is odd; Ask again."]
    assert messages.problems == {"bcm": error}
