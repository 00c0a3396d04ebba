"""Commands that end a change: commit, refresh, validate (bcm-facts §1.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from bcm_jobstats.simulator import messages, rights, tables
from bcm_jobstats.simulator.commits import Change, Problem, RefusedError, applied
from bcm_jobstats.simulator.modes import MODES, MONITORING_HOME
from bcm_jobstats.simulator.options import options
from bcm_jobstats.simulator.places import Level
from bcm_jobstats.simulator.schema import BCM10
from bcm_jobstats.simulator.session import Session, command
from bcm_jobstats.simulator.tables import Column

Words = tuple[str, ...]


def scope(session: Session) -> tuple[Optional[str], Optional[str]]:
    """What a commit here is about: the object in use, all objects of the mode, or everything at the top.

    "`commit` commits what is modified at that level and below" (bcm-facts §1.5).
    """
    levels = session.places.levels
    if not levels:
        return None, None
    if levels[0].mode == MONITORING_HOME:
        return "monitoring", None
    return levels[0].mode, levels[0].chosen


@command("commit")
def commit(session: Session, words: Words) -> None:
    """Commit the pending changes of this level; -w waits for background work such as an image clone."""
    found, _ = options(words, {"wait": "w"})
    pending = session.drafts.pending(*scope(session))
    if not pending:
        return
    rights.check_commit(session.daemon, session.profile, pending)
    session.write("")  # a client that is gone commits nothing any more
    try:
        tasks = session.daemon.commit(pending, session.link)
    except RefusedError as refusal:
        session.write(validation_table(session, refusal.problems))
        session.failed = True
        return
    session.drafts.forget(*scope(session))
    _follow_names(session, pending)
    session.write(_counts(pending))
    for task in tasks if "wait" in found else ():
        task.result()
        session.write("")


def _follow_names(session: Session, pending: Sequence[Change]) -> None:
    levels = session.places.levels
    renamed = {change.name: change.key for change in pending if change.mine is not None}
    if levels and levels[0].chosen in renamed:
        session.places.levels = [Level(levels[0].mode, renamed[levels[0].chosen]), *levels[1:]]
    elif levels and levels[0].chosen is not None:
        session.places.levels = [Level(levels[0].mode)]


def _counts(pending: Sequence[Change]) -> str:
    """Silence, unless something was removed: then what was removed and what else was committed."""
    text = ""
    for mode in dict.fromkeys(change.mode for change in pending):
        mine = [change for change in pending if change.mode == mode]
        removed = sum(change.mine is None for change in mine)
        if removed:
            plural = MODES[mode].plural
            text += f"Successfully removed {removed} {plural}\nSuccessfully committed {len(mine) - removed} {plural}\n"
    return text


def validation_table(session: Session, problems: Sequence[Problem]) -> str:
    """The table of a refused commit: the newer layout for roles and for BCM 11, else the one with codes."""
    newer = session.daemon.profile != BCM10 or any(problem.of_role for problem in problems)
    told = [(problem.field, worded_message(session, problem.message)) for problem in problems]
    longest = max(len(message) for _, message in told)
    rows: list[tables.Line]
    if newer:
        wide = max(65, longest)
        columns = [Column("Field", 24, 24), Column("Message", wide, wide)]
        rows = list(told)
    else:
        wide = max(28, longest)
        columns = [Column("Code", 5, 5), Column("Field", 24, 24), Column("Message", wide, wide)]
        rows = [("1", *row) for row in told]
    return tables.table(columns, rows)


def worded_message(session: Session, message: str) -> str:
    """A message of a validation table; those that a manual shows stay as they are."""
    known = (messages.WLM_CLUSTER_UNSET, messages.CATEGORY_UNSET)
    return message if message in known else messages.worded(message, session.daemon.switches["texts"])


@command("refresh")
def refresh(session: Session, words: Words) -> None:
    """Drop the pending changes of this level."""
    del words
    session.drafts.forget(*scope(session))
    levels = session.places.levels
    if levels and levels[0].chosen and session.places.drafts.get(levels[0].mode, levels[0].chosen) is None:
        session.places.levels = [Level(levels[0].mode)]


@command("validate")
def validate(session: Session, words: Words) -> None:
    """Check the pending changes of this level without committing them."""
    del words
    try:
        applied(session.daemon.state, session.drafts.pending(*scope(session)))
    except RefusedError as refusal:
        session.write(validation_table(session, refusal.problems))
        session.failed = True
        return
    session.write("All good\n")
