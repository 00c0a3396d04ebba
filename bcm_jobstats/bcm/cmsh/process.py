"""One cmsh process: found, started, bounded in time, its words kept."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bcm_jobstats.bcm.errors import TimedOut, Unreachable

log = logging.getLogger(__name__)
OPTIONS = ("--norc", "--color=no", "--disable-events")
"""rc files are read in batch mode too, and events mix with the output (bcm-facts §1.1, §1.7)."""
INSTALLED = "cm/local/apps/cmd/bin/cmsh"
LONGEST_ARGUMENT = 100_000
"""Bytes; the kernel's limit for one argument is 128 KiB."""


@dataclass(frozen=True)
class Answer:
    """What cmsh printed, and its exit status (which is not documented and not relied on)."""

    text: str
    status: int
    errors: str = ""
    """Its standard error, where that was asked for apart; otherwise it is in `text`."""
    returns: bool = False
    """Whether `text` had carriage returns, which stand in it as ends of lines."""

    def last_words(self) -> str:
        """The last non-empty line, for an error message."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1] if lines else f"it printed nothing and ended with status {self.status}"


def find(root: Path) -> Path:
    """The cmsh of the head node under `root`; raises Unreachable.

    With `--root` its own cmsh comes first, so that files and commands go to the same cluster.
    """
    installed = root / INSTALLED
    on_path = shutil.which("cmsh")
    candidates = [Path(on_path)] if on_path else []
    candidates.insert(0 if root != Path("/") else len(candidates), installed)
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return candidate
    raise Unreachable(
        "cmsh",
        f"is neither on PATH nor at {installed}",
        "Run this on a BCM head node (module load cmsh), or give --root.",
    )


def run(
    cmsh: Path,
    commands: Sequence[str],
    timeout: float,
    *,
    write: bool = False,
    options: Sequence[str] = (),
    apart: bool = False,
) -> Answer:
    """Run one cmsh with `commands`; raises Unreachable when it cannot start, TimedOut after `timeout` seconds.

    With `write` it ends at the first error, so that nothing is committed by halves. `options` come before the script.
    With `apart` standard error is kept by itself.
    """
    script = "; ".join(commands)
    start = [str(cmsh), *OPTIONS, *options, *(["--quit"] if write else [])]
    if len(script) > LONGEST_ARGUMENT:
        return _run([*start, "-f", "/dev/stdin"], "\n".join(commands) + "\n", timeout, apart=apart)
    return _run([*start, "-c", script], "", timeout, apart=apart)


def _run(argv: Sequence[str], text: str, timeout: float, *, apart: bool) -> Answer:
    log.debug("%s %s", shlex.join(argv), text)
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if apart else subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise Unreachable(argv[0], f"cannot be started: {error.strerror}", "Check the installation of cmsh.") from error
    try:
        output, errors = process.communicate(text.encode(), timeout=timeout)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise TimedOut(
            "cmsh",
            f"gave no answer within {timeout:g} seconds",
            "Check CMDaemon (systemctl status cmd), or raise bcm.timeout in the site file.",
        ) from error
    return Answer(_read(output), process.returncode, _read(errors or b""), b"\r" in output)


def _read(output: bytes) -> str:
    """Text with one kind of line end; what is no UTF-8 in it is U+FFFD."""
    return output.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
