"""A plan as text, OpenTofu style: marks, fields, one summary line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bcm_jobstats.plan.model import ADOPT, CREATE, DELETE, MARKS, UPDATE, Change, Plan

NO_CHANGES = "No changes. The cluster matches the configuration."
LEGEND = {
    CREATE: "+ create",
    UPDATE: "~ change",
    ADOPT: "~ change (taken over from an administrator)",
    DELETE: "- destroy",
}
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
    yield from (paint("! ", "!") + problem for problem in plan.problems)
    yield from (f"Note: {note}" for note in plan.notes)
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
        yield "        " + ", ".join(f"{key} = {_short(change.after[key])}" for key in change.fields())
        return
    for key in change.fields():
        yield f"        {key} = {_short(change.before.get(key))} -> {_short(change.after.get(key))}"


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
