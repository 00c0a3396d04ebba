"""One run of cmsh: its options, where its commands come from, and the exit status (bcm-facts §1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from getopt import GetoptError, gnu_getopt
from pathlib import Path
from typing import Optional, Protocol

from bcm_jobstats.simulator import messages
from bcm_jobstats.simulator.cmdaemon import CMDaemon
from bcm_jobstats.simulator.cmds import Session
from bcm_jobstats.simulator.session import QuitError

USAGE = """Usage:
  cmsh [options] [hostname[:port]]
  cmsh [options] -c <command>
  cmsh [options] -f <filename>
Options:
  --help|-h, --noconnect|-u, --controlflag|-z, --color <yes/no>, --spool <dir>, --tty|-t, --noredirect|-r,
  --norc|-n, --noquitconfirmation|-Q, --echo|-x, --quit|-q, --disablemultiline|-m, --hide-events,
  --disable-events, --certificate|-i <file>, --key|-k <file>
"""

SHORT = "huztrnQxqmi:k:c:f:"
LONG = [
    *("help", "noconnect", "controlflag", "color=", "spool=", "tty", "noredirect", "norc", "noquitconfirmation"),
    *("echo", "quit", "disablemultiline", "hide-events", "disable-events", "certificate=", "key=", "command=", "file="),
]
LETTERS = {"h": "help", "t": "tty", "n": "norc", "x": "echo", "q": "quit", "c": "command", "f": "file"}

RC_FILES = ("etc/cmshrc", "root/.cmshrc", "root/.cm/.cmshrc", "root/.cm/cmsh/.cmshrc")
"""Read in this order of places under the head node's directory; of the three in root's home the first wins."""


class Client(Protocol):
    """The other end: the process that was started as cmsh."""

    def write(self, text: str) -> None:
        """Print on its standard output."""

    def error(self, text: str) -> None:
        """Print on its standard error."""

    def is_tty(self) -> bool:
        """Whether its standard input is a terminal."""

    def read_all(self) -> str:
        """All its standard input."""

    def ask(self, prompt: str) -> Optional[str]:
        """One line at a prompt; None at the end of input."""


@dataclass
class Options:
    """The command line of cmsh."""

    given: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def parse(argv: Sequence[str]) -> Options:
        """The options by their long names. A hostname is accepted and not used: there is one head node."""
        found, _ = gnu_getopt(list(argv), SHORT, LONG)
        return Options({k[2:] if k.startswith("--") else LETTERS.get(k[1:], k[1:]): value for k, value in found})

    def has(self, name: str) -> bool:
        """Whether an option was given."""
        return name in self.given


def invoke(daemon: CMDaemon, argv: Sequence[str], cwd: Path, client: Client) -> int:
    """Run cmsh with its arguments; the exit status."""
    try:
        options = Options.parse(argv)
    except GetoptError as error:
        client.error(f"{messages.usage(str(error))}\n{USAGE}")
        return _status(daemon, failed=True)
    if options.has("help"):
        client.write(USAGE)
        return 0
    return _status(daemon, failed=_run(daemon, options, cwd, client))


def _status(daemon: CMDaemon, *, failed: bool) -> int:
    """0 whatever happened, or 1 after an error, by the switch: it is undocumented (bcm-facts §13 #3)."""
    return int(failed and daemon.switches["exit_status"] == "honest")


def _run(daemon: CMDaemon, options: Options, cwd: Path, client: Client) -> bool:
    quiet = options.has("hide-events") or options.has("disable-events")
    session = Session(daemon, client.write, client.error, events=not quiet)
    try:
        if not options.has("norc"):
            for text in _rc_texts(daemon.directory):
                session.run_line(text)
        session.echo = options.has("echo")
        session.quit_on_error = options.has("quit")
        _feed(session, options, cwd, client)
    except QuitError:
        pass
    failed = session.failed
    session.finish()
    return failed


def _rc_texts(directory: Path) -> list[str]:
    """The rc files, which are read in batch mode too; the shortest path in the home directory wins (bcm-facts §1.1)."""
    system, *home = (directory / name for name in RC_FILES)
    files = [system, *[path for path in home if path.is_file()][:1]]
    return [path.read_text(encoding="utf-8") for path in files if path.is_file()]


def _feed(session: Session, options: Options, cwd: Path, client: Client) -> None:
    if options.has("command"):
        session.run_line(options.given["command"])
    elif options.has("file"):
        _run_file(session, client, cwd / options.given["file"])
    elif client.is_tty() or options.has("tty"):
        _interactive(session, client)
    else:
        for line in client.read_all().splitlines():
            client.write(line + "\n")  # standard input is echoed; -c and -f are not (bcm-facts §1.1)
            session.run_line(line)


def _run_file(session: Session, client: Client, path: Path) -> None:
    try:
        # Standard input is the client's: the session runs in the daemon.
        text = client.read_all() if path == Path("/dev/stdin") else path.read_text(encoding="utf-8")
    except OSError as error:
        session.failed = True
        session.write(f"{error}\n")
        return
    for line in text.splitlines():
        session.run_line(line)


def _interactive(session: Session, client: Client) -> None:
    while True:
        line = client.ask(session.prompt())
        if line is None:
            return
        session.run_line(line)
