"""What cmsh hands to a shell: ``!cmd``, backquotes, ``|`` and ``>``. They really run, so that a client that does
not quote or refuse them is caught by a test (bcm-facts §1.2)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bcm_jobstats.simulator.messages import unbalanced

HEADER_LINES = 2
SHELL = "/bin/sh"


def run(command: str, directory: Path, text: str = "") -> str:
    """The output of a shell command, errors included."""
    done = subprocess.run(
        [SHELL, "-c", command],
        cwd=directory,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def substitute(text: str, directory: Path) -> str:
    """The command with what its backquotes print in their place. Single quotes keep them literal (an assumption)."""
    result = quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        if char == "`" and quote != "'":
            end = text.find("`", at + 1)
            if end < 0:
                raise unbalanced("backquote")
            result += run(text[at + 1 : end], directory).strip()
            at = end + 1
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        result += char
        at += 1
    return result


def pipe(command: str, output: str, directory: Path) -> str:
    """Output through a shell command; grep leaves the two header lines of a table alone (bcm-facts §1.2)."""
    lines = output.splitlines(keepends=True)
    is_table = len(lines) > 1 and lines[1].strip(" -\n") == "" and "-" in lines[1]
    if command.split()[:1] == ["grep"] and is_table:
        return "".join(lines[:HEADER_LINES]) + run(command, directory, "".join(lines[HEADER_LINES:]))
    return run(command, directory, output)


def redirect(target: str, output: str, directory: Path, *, append: bool) -> None:
    """Output into a file."""
    with (directory / target).open("a" if append else "w", encoding="utf-8") as stream:
        stream.write(output)
