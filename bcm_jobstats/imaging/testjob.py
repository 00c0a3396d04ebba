"""The site's test job, run on this head for a node."""

from __future__ import annotations

import shlex
import subprocess

SHOWN = 3
"""How many of its last lines are told."""


def run(command: str, node: str, timeout: float) -> str:
    """Run `command`, with the node for `{node}`, at most `timeout` seconds; why it failed, "": it did not."""
    line = command.replace("{node}", shlex.quote(node))
    try:
        done = subprocess.run(
            ["timeout", "--kill-after=5", f"{timeout:g}", "/bin/sh", "-c", line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        return f"{line} cannot be started: {error.strerror}"
    if done.returncode == 0:
        return ""
    words = [one.strip() for one in done.stdout.splitlines() if one.strip()]
    late = f" (no end within {timeout:g} s)" if done.returncode == 124 else ""
    return f"{line} ended with status {done.returncode}{late}: {' / '.join(words[-SHOWN:]):.400}"
