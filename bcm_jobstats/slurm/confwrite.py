"""Single lines of slurm.conf, outside BCM's section: put there, changed in place, taken out again, byte for byte.

Pure text, decoded with `surrogateescape` and with its line ends as they are. A line here is what Slurm reads as one:
several lines of the file where a backslash continues them. It is kept without the end of its last line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Optional

from bcm_jobstats.slurm.conflines import logical, physical

_KEY = re.compile(r"\s*([A-Za-z0-9_.]+)\s*[-*+/]?=", re.ASCII)
_VALUE = re.compile(r'([ \t]*[A-Za-z0-9_.]+[ \t]*=[ \t]*)("[^"\n]*"|[^\s"#\\]+)(?=\s|#|\Z)', re.ASCII)
_END = re.compile(r"\r?\n\Z")


def line_of(text: str, key: str) -> Optional[str]:
    """The line outside BCM's section that sets `key`, the last of several as it is for Slurm; None: there is none."""
    spots = list(_spots(text, key))
    return _END.sub("", text[slice(*spots[-1])]) if spots else None


def with_line(text: str, key: str, line: Optional[str]) -> str:
    """`text` with `line` in the place of the one that sets `key`, or without any that does.

    A new line goes right before BCM's section, where there is none to the end; what BCM writes has the last word.
    """
    spots = list(_spots(text, key))
    if line is None:
        for start, end in reversed(spots):
            text = _without(text, start, end)
        return text
    if not spots:
        return _inserted(text, key, line)
    start, end = spots[-1]
    ending = _END.search(text[start:end])
    return text[:start] + line + (ending[0] if ending else "") + text[end:]


def with_value(line: Optional[str], key: str, value: str) -> str:
    """A line that sets `key` to `value`: `line` with nothing else changed in it where that can be done."""
    plain = f"{key}={value}"
    match = _VALUE.match(line) if line else None
    if line is None or match is None:
        return plain
    changed = f"{match[1]}{value}{line[match.end() :]}"
    same = [words.split("=", 1)[1].split() for _, _, words in logical(tuple(physical(changed)))] == [[value]]
    return changed if same else plain


def _spots(text: str, key: str) -> Iterator[tuple[int, int]]:
    """Where the lines outside BCM's section begin and end that set `key`."""
    lines = tuple(physical(text))
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.text))
    for first, last, words in logical(lines):
        match = _KEY.match(words)
        if match and match[1].lower() == key.lower() and not first.generated:
            yield starts[first.number - 1], starts[last.number]


def _inserted(text: str, key: str, line: str) -> str:
    """A backslash at its end makes a line swallow the next: then the new one goes before it."""
    lines = [one.text for one in physical(text)]
    generated = [one.number - 1 for one in physical(text) if one.generated]
    ending = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    for place in range(generated[0] if generated else len(lines), -1, -1):
        before, after = "".join(lines[:place]), "".join(lines[place:])
        # Where the last line has no end the new one has none either, so that taking it out gives the same bytes.
        unended = before and not before.endswith("\n")
        new = f"{before}\n{line}" if unended else f"{before}{line}{ending}{after}"
        if line_of(new, key) == line:
            return new
    return f"{line}{ending}{text}"


def _without(text: str, start: int, end: int) -> str:
    before, after = text[:start], text[end:]
    return before[:-1] if not after and before.endswith("\n") and not text.endswith("\n") else before + after
