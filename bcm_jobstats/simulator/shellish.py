"""What cmsh hands to a shell: ``!cmd``, backquotes, ``|`` and ``>``. They really run, so that a client that does
not quote or refuse them is caught by a test (bcm-facts §1.2)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bcm_jobstats.simulator.messages import too_long, unbalanced

HEADER_LINES = 2
SECONDS, GRACE = 120.0, 1.0
"""How long a shell command may take, and how much later its output is given up."""
KILLED = (-9, 137)
NOTHING: Mapping[str, str] = {}
SHELL = "/bin/sh"


def run(
    command: str, directory: Path, text: str = "", *, seconds: float = SECONDS, environment: Mapping[str, str] = NOTHING
) -> str:
    """The output of a shell command, errors included. One that takes too long is ended with all it started.

    The time is kept by timeout(1), so that nothing goes on for longer when the daemon ends meanwhile.
    """
    shell = subprocess.Popen(
        ["timeout", "--signal=KILL", f"{seconds:g}", SHELL, "-c", command],
        cwd=directory,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    with shell:
        try:
            output = shell.communicate(text, seconds + GRACE)[0]
        except subprocess.TimeoutExpired as late:  # a process that left the group holds the pipe
            output = late.output.decode("utf-8", "replace") if isinstance(late.output, bytes) else ""
            for stream in (shell.stdin, shell.stdout):
                if stream is not None:
                    stream.close()
    return output + (too_long(seconds) + "\n" if shell.returncode in KILLED else "")


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


def redirect(target: Path, output: str, *, append: bool) -> None:
    """Output into a file."""
    with target.open("a" if append else "w", encoding="utf-8") as stream:
        stream.write(output)
