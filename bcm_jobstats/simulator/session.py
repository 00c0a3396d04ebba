"""A session of cmsh: it takes lines, runs their commands and writes what they print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Callable, Optional

from bcm_jobstats.simulator import credentials, grammar, messages, ranges, rights, scripts, shellish
from bcm_jobstats.simulator.cmdaemon import CMDaemon
from bcm_jobstats.simulator.commits import RefusedError
from bcm_jobstats.simulator.drafts import Drafts
from bcm_jobstats.simulator.entering import enter_mode, enter_submode
from bcm_jobstats.simulator.faults import EVENTS, EVENTS_ANYWAY, DroppedError
from bcm_jobstats.simulator.grammar import Command
from bcm_jobstats.simulator.ha import CHANGING, Link
from bcm_jobstats.simulator.kinds import schemas
from bcm_jobstats.simulator.modes import MODES, OTHER_MODES
from bcm_jobstats.simulator.places import Level, Places

Handler = Callable[["Session", tuple[str, ...]], None]
COMMANDS: dict[str, Handler] = {}
"""The commands by name; the modules of commands enter themselves here."""

OFFLINE = frozenset(("connect", "disconnect", "quit", "exit", "help", "color", "delimiter", "alias", "unalias", "run"))
"""The commands that need no CMDaemon: all there is after --noconnect."""

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
        profile: str = rights.ADMIN,
        hang: Optional[Callable[[], None]] = None,
        root: Optional[Path] = None,
        link: Optional[Link] = None,
    ) -> None:
        self.daemon = daemon
        self.link = link or daemon.ha.connect()
        self.profile = profile
        self.hang = hang or daemon.faults.hang
        self.root = root or daemon.ha.root(self.link.here)
        self.cwd = self.root
        self.connected = True
        self.aliases: dict[str, str] = {}
        self.sorts: dict[str, str] = {}
        self.ranged: list[str] = []
        self.depth = 0
        self._write = write
        self._error = error if daemon.switches["errors_to"] == "stderr" else None
        self.show_events = events
        self._seen = len(daemon.events)
        self.catalogue = schemas(daemon.profile)
        self._submodes = {name for schema in self.catalogue.values() for name in schema.submodes}
        self.drafts = Drafts(lambda: daemon.state)
        self.places = Places(self.drafts, self.catalogue)
        self.places.services_on = lambda: daemon.switches["role_services"] == "on"
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
        if self.connected and not self.daemon.ha.alive(self.link):
            raise DroppedError
        self.places.state = self.daemon.state
        try:
            if text.startswith("!"):
                self.write(shellish.run(text[1:], self.root))
                return
            if "`" in text:
                text = shellish.substitute(text, self.root)
            self._run(parsed(text))
        except messages.CmshError as error:
            self._fail(error)
        except ConnectionError:
            raise
        except OSError as error:  # a file that a command names
            self._fail(messages.CmshError(str(error)))

    def _fail(self, error: messages.CmshError) -> None:
        self.tell_error(error)
        self.failed = True

    def tell_error(self, error: messages.CmshError) -> None:
        """Print an error where errors go."""
        (self._error or self._write)(messages.worded(str(error), self.daemon.switches["texts"]) + "\n")

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
        directory, output = self.root, "".join(kept)
        if told.pipe:
            self.write(shellish.pipe(told.pipe, output, directory))
        else:
            target = credentials.place(told.redirect, directory, directory)
            shellish.redirect(target, output, append=told.append)

    def execute(self, words: Sequence[str]) -> None:
        """Run a command in words: a mode, a submode of the object in use, or a command proper."""
        word, rest = words[0], tuple(words[1:])
        if word in ALIASES:
            self.execute((*ALIASES[word], *rest))
        elif not self.connected and word not in OFFLINE:
            raise messages.not_connected()
        elif word in MODES:
            enter_mode(self, word, rest)
        elif word in OTHER_MODES:
            raise messages.not_simulated(word)
        elif self.places.ranged and word not in ranges.ONCE:
            ranges.each(self, words)
        elif word not in self._submodes or not enter_submode(self.places, self.go, word, rest):
            self._handle(word, rest)

    def _handle(self, word: str, rest: tuple[str, ...]) -> None:
        """Run a command proper, if the certificate's profile allows it; else a file NAME.cmsh that is called so."""
        handler = COMMANDS.get(word)
        if handler is not None:
            if word in CHANGING and self.link.head != self.daemon.ha.active:
                raise messages.passive_head(self.link.head)
            rights.check(self.daemon, self.profile, word, self.places.levels)
            handler(self, rest)
        elif not scripts.run_named(self, word, rest):
            raise messages.unknown_command(word)

    def go(self, levels: list[Level]) -> None:
        """Be somewhere else; `goto -` leads back."""
        self.before = self.places.levels
        self.places.levels = levels

    def read_file(self, name: str) -> str:
        """The text of a file of the head node that a command names."""
        return credentials.found(name, self.cwd, self.root).read_text(encoding="utf-8")

    def prompt(self) -> str:
        """The prompt of an interactive session."""
        return self.places.prompt(self.daemon.head)

    def finish(self) -> None:
        """The end of the session: pending changes are dropped, or committed when the switch says `keep`."""
        pending = self.drafts.pending()
        if pending and self.daemon.switches["uncommitted"] == "keep":
            with suppress(RefusedError, messages.CmshError):  # nobody is left to be told
                rights.check_commit(self.daemon, self.profile, pending)
                self.daemon.commit(pending, self.link)
