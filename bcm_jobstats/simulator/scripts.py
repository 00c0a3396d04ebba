"""Files of cmsh commands: `run FILE`, and ``~/.cm/cmsh/NAME.cmsh``, which makes the command NAME (bcm-facts §1.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bcm_jobstats.simulator import messages

if TYPE_CHECKING:
    from bcm_jobstats.simulator.session import Session

NAMED = "root/.cm/cmsh"
_ARGUMENT = re.compile(r"\$(?:(\d)|\{(\d+)(?:-([^}]*))?\})")
_NAME = re.compile(r"[\w-]+")
DEPTH = 20
"""How deep files may call files: one that calls itself has to end."""


def run_named(session: Session, word: str, arguments: Sequence[str]) -> bool:
    """Run NAME.cmsh when there is one; False when there is none. It is looked for at each call: no restart needed."""
    alias = session.aliases.get(word)
    file = session.root / NAMED / f"{word}.cmsh"
    if alias is None and (not _NAME.fullmatch(word) or not file.is_file()):
        return False
    run_text(session, file.read_text(encoding="utf-8") if alias is None else alias, arguments)
    return True


def run_text(session: Session, text: str, arguments: Sequence[str]) -> None:
    """Run lines of commands. An error in one of them makes the whole count as failed."""
    if session.depth >= DEPTH:
        raise messages.usage("files of commands call each other without an end")
    session.depth += 1
    failed = False
    try:
        for line in filled(text, arguments).splitlines():
            session.run_line(line)
            failed = failed or session.failed
    finally:
        session.depth -= 1
    session.failed = failed


def filled(text: str, arguments: Sequence[str]) -> str:
    """``$1`` and ``${1-node001}`` replaced by the arguments; one that is missing and has no default is empty.

    The replacement is one of text, before the line is cut at its semicolons: what an argument holds is not protected.
    """

    def argument(found: re.Match[str]) -> str:
        number = int(found[1] or found[2])
        told = arguments[number - 1] if 0 < number <= len(arguments) else None
        return told if told is not None else found[3] or ""

    return _ARGUMENT.sub(argument, text)
