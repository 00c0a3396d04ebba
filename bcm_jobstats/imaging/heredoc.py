"""Content as text of a shell script, so that the script makes the very same bytes."""

from __future__ import annotations

import base64
import shlex
import textwrap
from typing import Optional

MARK = "END-OF-FILE"
_WIDTH = 76


def fed(command: str, content: bytes) -> str:
    """`command` with `content` at its standard input.

    Text stays readable; what is no text, or could change what a terminal shows, becomes base64.
    """
    text = _plain(content)
    if text is None:
        lines = "\n".join(textwrap.wrap(base64.b64encode(content).decode(), _WIDTH))
        return f"base64 -d <<'{MARK}' | {command}\n{lines}\n{MARK}"
    if text.endswith("\n"):
        end = mark(text)
        return f"{command} <<'{end}'\n{text}{end}"
    return f"printf '%s' {shlex.quote(text)} | {command}"


def mark(text: str) -> str:
    """A line that ends a here-document and is none of `text`."""
    lines = set(text.split("\n"))
    end, number = MARK, 1
    while end in lines:
        number += 1
        end = f"{MARK}-{number}"
    return end


def _plain(content: bytes) -> Optional[str]:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return text if all(one.isprintable() or one in "\n\t " for one in text) else None
