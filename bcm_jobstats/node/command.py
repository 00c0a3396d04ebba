"""A command with a limit in time. The module subprocess would cost every node a third of a megabyte."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

PIECE = 64 * 1024
LOOKING = 0.005
"""Seconds between two looks whether it has ended."""


class Done(NamedTuple):
    """How a command ended."""

    status: int
    """Its exit status; the negative number of a signal that ended it."""
    output: str
    errors: str


def run(words: list[str], environment: Mapping[str, str], seconds: float) -> Done:
    """Run a program of the PATH in `environment`. Raises OSError where there is none, TimeoutError for one that takes
    longer; that, and whatever else ends the wait, ends the command as well."""
    ends = time.monotonic() + seconds
    (output, out), (errors, err) = os.pipe(), os.pipe()
    said = {output: b"", errors: b""}
    try:
        try:
            process = _spawn(words, environment, out, err)
        finally:
            os.close(out)
            os.close(err)
        try:
            _listen(said, ends)
            status = _ended(process, ends)
        except BaseException:
            with suppress(ProcessLookupError, ChildProcessError):  # it had ended just then
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
            raise
    finally:
        os.close(output)
        os.close(errors)
    return Done(os.waitstatus_to_exitcode(status), *(text.decode("utf-8", "replace") for text in said.values()))


def _spawn(words: list[str], environment: Mapping[str, str], out: int, err: int) -> int:
    places = (f"{folder}/{words[0]}" for folder in os.get_exec_path(environment))
    program = next((place for place in places if os.access(place, os.X_OK)), words[0])
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, out, 1),
        (os.POSIX_SPAWN_DUP2, err, 2),
    ]
    # Python itself ignores SIGPIPE, which no other program expects.
    return os.posix_spawn(program, words, environment, file_actions=streams, setsigdef=[signal.SIGPIPE])


def _listen(said: dict[int, bytes], ends: float) -> None:
    """Add to each stream of `said` what comes from it, until all have ended."""
    left = list(said)
    while left:
        ready, _, _ = select.select(left, [], [], max(0.0, ends - time.monotonic()))
        if not ready:
            raise TimeoutError
        for stream in ready:
            piece = os.read(stream, PIECE)
            said[stream] += piece
            if not piece:
                left.remove(stream)


def _ended(process: int, ends: float) -> int:
    """How a process ended that says nothing more."""
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return status
        if time.monotonic() >= ends:
            raise TimeoutError
        time.sleep(LOOKING)
