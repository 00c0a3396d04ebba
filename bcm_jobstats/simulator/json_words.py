"""How a call over JSON can fail, and what an update answers (bcm-facts §8.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.commits import Problem
from bcm_jobstats.simulator.json_fields import NIL

if TYPE_CHECKING:
    from bcm_jobstats.simulator.ha import Link


@dataclass(frozen=True)
class Caller:
    """Who calls, with which profile, over which connection."""

    name: str = ""
    profile: str = ""
    link: Optional[Link] = None


class CallError(Exception):
    """CMDaemon refuses: HTTP 200 with an ``errormessage``."""


class BadCallError(Exception):
    """There is no such call, or it was not called so: HTTP 400."""


def done(task: str = NIL) -> dict[str, Any]:
    """The answer to an update that was taken; `task` is that of the work that goes on in the background."""
    return {"success": True, "task_uuid": task, "updated_entity": None, "validation": []}


LITERAL = (messages.CATEGORY_UNSET, messages.WLM_CLUSTER_UNSET)
"""Messages that public text shows; the others are invented, and have another wording by the switch `texts`."""


def refused(problems: Iterable[Problem], wording: str, entity: str = NIL) -> dict[str, Any]:
    """The answer to an update that was not taken."""
    rows = [
        {
            "baseType": "Validation",
            "error_code": _code(problem),
            "field": problem.field,
            "message": _message(problem.message, wording),
            "ref_entity_uuid": entity,
            "severity": "ERROR",
        }
        for problem in problems
    ]
    return {"success": False, "task_uuid": NIL, "updated_entity": None, "validation": rows}


def _message(text: str, wording: str) -> str:
    return text if text in LITERAL or text.endswith(" is required") else messages.worded(text, wording)


def _code(problem: Problem) -> str:
    """The error codes that were seen are these three (bcm-facts §8.1)."""
    if problem.message in LITERAL or problem.message.endswith("required"):
        return "NOT_NULL"
    twice = problem.message.startswith("Duplicate") or problem.message.endswith("already exists")
    return "DUPLICATE_FIELD" if twice else "BAD_VALUE"
