"""Runs the commands of units in a process node: environment, working directory, directories and log."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from bcm_jobstats.simulator.nodespace import NodeSpace
from bcm_jobstats.simulator.units import Unit, read_environment_file
from bcm_jobstats.simulator.unitwords import Command

BUSY_TRIES = 40
Process = subprocess.Popen[bytes]


class StartError(Exception):
    """A command or service that failed; the text says why."""


class NodeExec:
    """Starts commands in the node `space`, with `mark` in every environment.

    `timeout` (seconds) bounds each command that is waited for. Output goes to the node's /var/log/SERVICE.log, which
    each start of the service empties.
    """

    def __init__(self, space: NodeSpace, mark: Mapping[str, str], timeout: float) -> None:
        self.space = space
        self._mark = dict(mark)
        self._timeout = timeout

    def spawn(self, unit: Unit, command: Command) -> Process:
        """Start `command` in a session and process group of its own; OSError when that cannot be done."""
        variables = self._variables(unit)
        words = [self.space.word(word) for word in command.arguments(variables)]
        program = self.space.program(command.path)
        environment = {**self.space.environment(variables), **self._mark}
        directory = self._working_directory(unit)

        def start() -> Process:
            with self._log(unit).open("ab") as log:
                return subprocess.Popen(
                    [command.own_name or str(program), *words],
                    executable=program,
                    cwd=directory,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

        return _when_not_busy(start)

    def run(self, unit: Unit, key: str) -> None:
        """Run the commands of `key` one after the other; StartError at the first that fails and may not."""
        for command in unit.run(key):
            try:
                self._run(unit, command)
            except (StartError, OSError):
                if not command.ignore_failure:
                    raise

    def attempt(self, unit: Unit, key: str) -> None:
        """Run the commands of `key`, whatever becomes of them: the stop commands."""
        with suppress(StartError, OSError):
            self.run(unit, key)

    def prepare(self, unit: Unit) -> None:
        """Make the unit's directories and empty its log."""
        for directory in unit.directories:
            path = self.space.path(directory.path)
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(directory.mode)
        self._log(unit).write_bytes(b"")

    def clear(self, unit: Unit) -> None:
        """What follows the end of a service, however it ended: ExecStopPost, then its runtime directories go."""
        self.attempt(unit, "ExecStopPost")
        for directory in unit.directories:
            if directory.variable == "RUNTIME_DIRECTORY" and not unit.keep_runtime_directory:
                shutil.rmtree(self.space.path(directory.path), ignore_errors=True)

    def conditions_hold(self, unit: Unit) -> bool:
        """Whether all conditions of the unit are met; if not, systemd skips the start without an error."""
        return all(self._holds(kind, path.lstrip("!")) != path.startswith("!") for kind, path in unit.conditions)

    def _holds(self, kind: str, text: str) -> bool:
        path = self.space.path(text)
        if kind == "ConditionFileIsExecutable":
            return path.is_file() and os.access(path, os.X_OK)
        return path.is_dir() if kind == "ConditionPathIsDirectory" else path.exists()

    def _run(self, unit: Unit, command: Command) -> None:
        process = self.spawn(unit, command)
        try:
            status = process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            end_group(process, signal.SIGKILL)
            process.wait()
            raise StartError(f"{command.path} did not end within {self._timeout:g} s") from None
        if status != 0:
            how = f"was killed by signal {-status}" if status < 0 else f"exited with status {status}"
            raise StartError(f"{command.path} {how}")

    def _variables(self, unit: Unit) -> dict[str, str]:
        """The unit's variables with the node's own paths: what ``${X}`` of its command lines means."""
        variables = dict(unit.environment)
        for path, optional in unit.environment_files:
            try:
                variables.update(read_environment_file(self.space.path(path).read_text(encoding="utf-8")))
            except FileNotFoundError:
                if not optional:
                    raise
        named: dict[str, list[str]] = {}
        for directory in unit.directories:
            named.setdefault(directory.variable, []).append(directory.path)
        return {**variables, **{name: ":".join(paths) for name, paths in named.items()}}

    def _working_directory(self, unit: Unit) -> Path:
        wanted = unit.working_directory.lstrip("-")
        path = self.space.path(wanted) if wanted.startswith("/") else self.space.root
        return self.space.root if unit.working_directory.startswith("-") and not path.is_dir() else path

    def _log(self, unit: Unit) -> Path:
        directory = self.space.root / "var/log"
        directory.mkdir(parents=True, exist_ok=True)
        return directory / f"{unit.name[: -len('.service')]}.log"


def _when_not_busy(start: Callable[[], Process]) -> Process:
    """Start a program that may have been written a moment ago.

    Between fork and exec a child of another thread still holds the descriptor through which the program was written,
    and the kernel refuses to run a file that is open for writing.
    """
    for _ in range(BUSY_TRIES):
        try:
            return start()
        except OSError as error:
            if error.errno != errno.ETXTBSY:
                raise
            time.sleep(0.005)
    return start()


def end_group(process: Process, number: signal.Signals) -> None:
    """Send `number` to the process group of `process`; its leader may be gone while others live."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
