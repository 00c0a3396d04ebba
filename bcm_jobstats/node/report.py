"""What `role-monitor --once` prints of its round: for people, and as JSON for scripts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Optional

from bcm_jobstats.errors import ExitStatus, printable
from bcm_jobstats.node.messages import line
from bcm_jobstats.node.outcome import Outcome


def exit_status(outcome: Outcome) -> int:
    """What --once tells the shell."""
    if outcome.unknown is not None:
        return int(ExitStatus.UNREACHABLE)
    return int(ExitStatus.FAILED if outcome.problems else ExitStatus.OK)


def data(outcome: Outcome) -> dict[str, Any]:
    """The round as JSON has it. `known` tells whether BCM answered; without it `has_role` is its last answer."""
    problems = [
        {"subject": one.subject, "cause": one.cause, "remedy": one.remedy, "text": line(one)}
        for one in outcome.problems
    ]
    return {
        "host": outcome.host,
        "role": outcome.role,
        "has_role": outcome.has,
        "known": outcome.unknown is None,
        "known_since": _when(outcome.since),
        "services": dict(outcome.services),
        "targets": dict(outcome.targets),
        "changes": list(outcome.changes),
        "problems": problems,
    }


def text(outcome: Outcome) -> Iterator[str]:
    """The round in lines."""
    words = {True: "has it", False: "does not have it", None: "nobody knows yet"}
    since = f" since {_when(outcome.since)}" if outcome.has is not None and outcome.since is not None else ""
    doubt = " when BCM last told" if outcome.unknown is not None and outcome.has is not None else ""
    yield printable(f"{outcome.host or 'this node'}: role {outcome.role}: {words[outcome.has]}{since}{doubt}")
    for name, state in outcome.services.items():
        yield printable(f"  service {name}: {state}")
    for name, there in outcome.targets.items():
        yield printable(f"  target file {name}: {'there' if there else 'not there'}")
    for change in outcome.changes:
        yield printable(f"  {change}")
    for problem in outcome.problems:
        yield printable(f"  problem: {line(problem)}")


def _when(seconds: Optional[float]) -> Optional[str]:
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
