"""A plan as text, OpenTofu style: marks, fields, one summary line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Any

from bcm_jobstats.errors import printable
from bcm_jobstats.plan.model import ADOPT, CREATE, DELETE, MARKS, UPDATE, Change, Plan

NO_CHANGES = "No changes. The cluster matches the configuration."
LEGEND = {
    CREATE: "+ create",
    UPDATE: "~ change",
    ADOPT: "~ change (taken over from an administrator)",
    DELETE: "- destroy",
}
LONGEST_DIFF = 40
"""Lines of one text's diff that are shown."""
COLOURS = {"+": "32", "~": "33", "-": "31", "!": "31"}
Paint = Callable[[str, str], str]
"""(text, mark) -> text, coloured or not."""


def painter(*, colour: bool) -> Paint:
    """Colours by mark, or plain text."""
    return lambda text, mark: f"\033[{COLOURS[mark]}m{text}\033[0m" if colour and mark in COLOURS else text


def render(plan: Plan, *, colour: bool = False) -> str:
    """The whole plan as an administrator reads it."""
    paint = painter(colour=colour)
    return "\n".join(_lines(plan, paint)) + "\n"


def summary(plan: Plan) -> str:
    """`Plan: N to add, N to change, N to destroy.`"""
    added, changed, destroyed = plan.counts()
    return f"Plan: {added} to add, {changed} to change, {destroyed} to destroy."


def _lines(plan: Plan, paint: Paint) -> Iterator[str]:
    if plan.changes:
        used = sorted({LEGEND[change.action] for change in plan.changes})
        yield from ["bcm-jobstats will perform the following actions. Marks:", *(f"  {line}" for line in used), ""]
        for change in plan.changes:
            yield from _change(change, paint)
        yield ""
    for conflict in plan.conflicts:
        yield paint(f"! {conflict.address}", "!") + ": is there already and bcm-jobstats did not make it"
        for key, value in conflict.wanted.items():
            if conflict.found.get(key) != value:
                yield f"      {key} = {_short(conflict.found.get(key))} (wanted: {_short(value)})"
        yield "      Rename one of the two, or take it over with: --adopt"
    yield from (paint("! ", "!") + printable(problem, kept="\n") for problem in plan.problems)
    yield from (f"Note: {printable(note)}" for note in plan.notes)
    if plan.changes or plan.conflicts or plan.problems:
        yield summary(plan)
    else:
        yield NO_CHANGES


def _change(change: Change, paint: Paint) -> Iterator[str]:
    mark = MARKS[change.action]
    reason = f"  ({change.reason})" if change.reason else ""
    yield paint(f"  {mark} {change.address}", mark) + reason
    if change.after is None:
        return
    if change.before is None:
        told = [f"{key} = {_short(change.after[key])}" for key in change.fields() if key != change.mark]
        yield f"        {', '.join(told)}"
        return
    for key in change.fields():
        yield from _field(key, change.before.get(key), change.after.get(key), paint)


def _field(key: str, before: Any, after: Any, paint: Paint) -> Iterator[str]:
    """One field that changes: lists by what comes and goes, texts of several lines as a diff."""
    if isinstance(before, list) and isinstance(after, list) and sorted(before) != sorted(after):
        gone = [paint(f"-{item}", "-") for item in before if item not in after]
        come = [paint(f"+{item}", "+") for item in after if item not in before]
        yield f"        {key}: {' '.join(gone + come)}"
    elif isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
        yield f"        {key}:"
        lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1))[2:]
        yield from (f"          {paint(line, line[0]) if line else line}" for line in lines[:LONGEST_DIFF])
        if len(lines) > LONGEST_DIFF:
            yield f"          ... {len(lines) - LONGEST_DIFF} more lines"
    else:
        yield f"        {key} = {_short(before)} -> {_short(after)}"


def _short(value: Any) -> str:
    if value is None:
        return "(not set)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(str(item) for item in value) + "]"
    text = str(value)
    if "\n" in text:
        return f"<{len(text.encode('utf-8', 'surrogateescape'))} B>"
    return f'"{text}"' if not text or " " in text else text
