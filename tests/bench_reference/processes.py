"""Running a script as slurmd does: how long it takes, and how many processes it starts."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Optional

_NULL = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in (0, 1, 2)]
_CALLS = "?clone,?clone3,?fork,?vfork"
_STARTED = re.compile(r"\b(?:clone3?|v?fork)\b.*= [1-9]\d*$", re.MULTILINE)
"""A call that came back in the parent; where another's line came between, it is the one that says `resumed`."""


class Took(NamedTuple):
    """Milliseconds of a run: on the clock, and of processors, where what else the machine does counts for little."""

    clock: float
    cpu: float


def took(script: Path, environment: Mapping[str, str]) -> Took:
    """What a run takes, with all it starts. posix_spawn, because fork would copy the tables of this Python."""
    began = time.perf_counter()
    process = os.posix_spawn(script, [str(script)], environment, file_actions=_NULL)
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - began
    assert status == 0, f"{script} ended with {status}"
    return Took(seconds * 1000, (usage.ru_utime + usage.ru_stime) * 1000)


def counted(script: Path, environment: Mapping[str, str]) -> Optional[int]:
    """How many processes a run starts, its subshells too, not counting itself; None where strace cannot tell.

    Exact: the kernel stops every process of the run at each clone, fork and vfork.
    """
    return len(_STARTED.findall(_trace([str(script)], environment))) if can_count() else None


@functools.cache
def can_count() -> bool:
    """Whether strace is there and may trace: a container may forbid it."""
    if not shutil.which("strace"):
        return False
    try:
        return len(_STARTED.findall(_trace(["/bin/sh", "-c", "(:); (:)"], {}))) == 2
    except subprocess.CalledProcessError:
        return False


def _trace(command: list[str], environment: Mapping[str, str]) -> str:
    # -E, because strace itself needs the PATH of here, and the script is to get what slurmd would give it.
    without = [f"-E{name}" for name in os.environ if name not in environment]
    given = [f"-E{name}={value}" for name, value in environment.items()]
    with tempfile.NamedTemporaryFile(prefix="bcm-jobstats-strace.") as log:
        strace = ["strace", "-f", "-qq", "-e", f"trace={_CALLS}", "-e", "signal=none", "-o", log.name]
        subprocess.run([*strace, *without, *given, *command], check=True, capture_output=True, stdin=subprocess.DEVNULL)
        return Path(log.name).read_text()
