"""A session of cmsh: it takes lines, runs their commands and writes what they print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Callable, Optional

from bcm_jobstats.simulator import grammar, messages, shellish
from bcm_jobstats.simulator.cmdaemon import CMDaemon
from bcm_jobstats.simulator.commits import RefusedError
from bcm_jobstats.simulator.drafts import Drafts
from bcm_jobstats.simulator.entering import enter_mode, enter_submode
from bcm_jobstats.simulator.faults import EVENTS, EVENTS_ANYWAY
from bcm_jobstats.simulator.grammar import Command
from bcm_jobstats.simulator.kinds import schemas
from bcm_jobstats.simulator.modes import MODES, OTHER_MODES
from bcm_jobstats.simulator.places import Level, Places

Handler = Callable[["Session", tuple[str, ...]], None]
COMMANDS: dict[str, Handler] = {}
"""The commands by name; the modules of commands enter themselves here."""

ALIASES = {
    "ls": ("list",),
    "..": ("exit",),
    "/": ("home",),
    "?": ("help",),
    "ds": ("device", "status"),
    "-": ("goto", "-"),
}
"""The built-in aliases (bcm-facts §1.2)."""

parsed = lru_cache(maxsize=4096)(grammar.parse)
split = lru_cache(maxsize=1024)(grammar.split)


class QuitError(Exception):
    """The session ends here."""


def command(*names: str) -> Callable[[Handler], Handler]:
    """Enter a function as a command of cmsh."""

    def entered(function: Handler) -> Handler:
        COMMANDS.update(dict.fromkeys(names, function))
        return function

    return entered


class Session:
    """One cmsh: its place, its pending changes, and its output."""

    def __init__(
        self,
        daemon: CMDaemon,
        write: Callable[[str], None],
        error: Optional[Callable[[str], None]] = None,
        *,
        events: bool = False,
    ) -> None:
        self.daemon = daemon
        self._write = write
        self._error = error if daemon.switches["errors_to"] == "stderr" else None
        self.show_events = events
        self._seen = len(daemon.events)
        self.catalogue = schemas(daemon.profile)
        self._submodes = {name for schema in self.catalogue.values() for name in schema.submodes}
        self.drafts = Drafts(lambda: daemon.state)
        self.places = Places(self.drafts, self.catalogue)
        self.before: list[Level] = []
        self.loop_body = ""
        self.delimiter = ""
        self.formats: dict[str, str] = {}
        self.quit_on_error = False
        self.echo = False
        self.failed = False

    def write(self, text: str) -> None:
        """Print, with the events that came meanwhile before it."""
        fresh = self.daemon.events.since(self._seen)
        self._seen += len(fresh)
        if fresh and self.show_events:
            self._write("".join(line + "\n" for line in fresh))
        self._write(self._disturbed(text) if text else "")

    def _disturbed(self, text: str) -> str:
        """The text, or what a fault makes of it: events between its lines."""
        faults = self.daemon.faults
        fault = faults.strike(EVENTS_ANYWAY) or (faults.strike(EVENTS) if self.show_events else None)
        if fault is None:
            return text
        told = "".join(line + "\n" for line in self.daemon.events.add(fault.texts))
        self._seen = len(self.daemon.events)
        lines = text.splitlines(keepends=True)
        return "".join([*lines[: fault.lines], told, *lines[fault.lines :]])

    @contextmanager
    def kept(self, kept: list[str]) -> Iterator[None]:
        """Keep what is printed meanwhile instead of printing it."""
        outer, self._write = self._write, kept.append
        try:
            yield
        finally:
            self._write = outer

    def run_line(self, line: str) -> None:
        """Run the commands of a line; one that fails does not keep the next from running, unless -q was given."""
        try:
            pieces = split(line)
        except messages.CmshError as error:
            self._fail(error)
            return
        for piece in pieces:
            if self.echo:
                self._write(piece + "\n")
            self.run_command(piece)
            if self.failed and self.quit_on_error:
                raise QuitError

    def run_command(self, text: str) -> None:
        """Run one command as written: shell commands and substitutions as cmsh does them (bcm-facts §1.2)."""
        self.failed = False
        self.places.state = self.daemon.state
        try:
            if text.startswith("!"):
                self.write(shellish.run(text[1:], self.daemon.directory))
                return
            if "`" in text:
                text = shellish.substitute(text, self.daemon.directory)
            self._run(parsed(text))
        except messages.CmshError as error:
            self._fail(error)
        except ConnectionError:
            raise
        except OSError as error:  # a file that a command names
            self._fail(messages.CmshError(str(error)))

    def _fail(self, error: messages.CmshError) -> None:
        (self._error or self._write)(f"{error}\n")
        self.failed = True

    def _run(self, told: Command) -> None:
        if not told.words:
            return
        self.loop_body = told.body
        if not (told.pipe or told.redirect):
            self.execute(told.words)
            return
        kept: list[str] = []
        with self.kept(kept):
            self.execute(told.words)
        directory, output = self.daemon.directory, "".join(kept)
        if told.pipe:
            self.write(shellish.pipe(told.pipe, output, directory))
        else:
            shellish.redirect(told.redirect, output, directory, append=told.append)

    def execute(self, words: Sequence[str]) -> None:
        """Run a command in words: a mode, a submode of the object in use, or a command proper."""
        word, rest = words[0], tuple(words[1:])
        if word in ALIASES:
            self.execute((*ALIASES[word], *rest))
        elif word in MODES:
            enter_mode(self, word, rest)
        elif word in OTHER_MODES:
            raise messages.not_simulated(word)
        elif word not in self._submodes or not enter_submode(self.places, self.go, word, rest):
            handler = COMMANDS.get(word)
            if handler is None:
                raise messages.unknown_command(word)
            handler(self, rest)

    def go(self, levels: list[Level]) -> None:
        """Be somewhere else; `goto -` leads back."""
        self.before = self.places.levels
        self.places.levels = levels

    def prompt(self) -> str:
        """The prompt of an interactive session."""
        return self.places.prompt(self.daemon.head)

    def finish(self) -> None:
        """The end of the session: pending changes are dropped, or committed when the switch says `keep`."""
        pending = self.drafts.pending()
        if pending and self.daemon.switches["uncommitted"] == "keep":
            with suppress(RefusedError):  # nobody is left to be told
                self.daemon.commit(pending)
