"""One run of cmsh: its options, where its commands come from, and the exit status (bcm-facts §1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from getopt import GetoptError
from pathlib import Path
from typing import Optional, Protocol

from bcm_jobstats.simulator import credentials, messages
from bcm_jobstats.simulator.cmdaemon import CMDaemon
from bcm_jobstats.simulator.cmds import Session
from bcm_jobstats.simulator.cmshoptions import USAGE, Options
from bcm_jobstats.simulator.ha import Link, UnreachableError
from bcm_jobstats.simulator.session import QuitError

ETX = "\x03"
PORT = "8081"
"""CMDaemon's port (bcm-facts §1.1); the one on which the simulator listens is taken too."""

RC_FILES = ("etc/cmshrc", "root/.cmshrc", "root/.cm/.cmshrc", "root/.cm/cmsh/.cmshrc")
"""Read in this order of places under the head node's directory; of the three in root's home the first wins."""


class Client(Protocol):
    """The other end: the process that was started as cmsh on the head node `head` ("": on the active one)."""

    head: str

    def lost(self) -> None:
        """The connection is cut from this side."""

    def write(self, text: str) -> None:
        """Print on its standard output."""

    def error(self, text: str) -> None:
        """Print on its standard error."""

    def is_tty(self) -> bool:
        """Whether its standard input is a terminal."""

    def hang(self) -> None:
        """Wait until it goes away."""

    def read_all(self) -> str:
        """All its standard input."""

    def ask(self, prompt: str) -> Optional[str]:
        """One line at a prompt; None at the end of input."""


def invoke(daemon: CMDaemon, argv: Sequence[str], cwd: Path, client: Client) -> int:
    """Run cmsh with its arguments; the exit status. What a real head's transcript tells is given back as it is."""
    recorded = daemon.transcript.find(argv)
    if recorded:
        client.write(recorded.stdout)
        client.error(recorded.stderr)
        return recorded.status
    try:
        options = Options.parse(argv)
    except GetoptError as error:
        told = messages.worded(str(messages.usage(str(error))), daemon.switches["texts"])
        client.error(f"{told}\n{USAGE}")
        return _status(daemon, failed=True)
    if options.has("help"):
        client.write(USAGE)
        return 0
    return _status(daemon, failed=_run(daemon, options, cwd, client))


def _status(daemon: CMDaemon, *, failed: bool) -> int:
    """0 whatever happened, or 1 after an error, by the switch: it is undocumented (bcm-facts §13 #3)."""
    return int(failed and daemon.switches["exit_status"] == "honest")


def _run(daemon: CMDaemon, options: Options, cwd: Path, client: Client) -> bool:
    root = daemon.ha.root(client.head)
    try:
        profile = credentials.profile_of(options.given, cwd, root, daemon.directory)
        link = _link(daemon, options, client)
    except messages.CmshError as error:
        client.error(messages.worded(str(error), daemon.switches["texts"]) + "\n")
        return True
    quiet = options.has("hide-events") or options.has("disable-events")
    session = Session(
        daemon, client.write, client.error, events=not quiet, profile=profile, link=link, root=root, hang=client.hang
    )
    session.cwd, session.connected = cwd, not options.has("noconnect")
    try:
        return _session(session, options, client)
    finally:
        daemon.ha.disconnect(session.link)


def _link(daemon: CMDaemon, options: Options, client: Client) -> Link:
    """The connection to the CMDaemon of this head or of the host told: a passive head redirects to the active one."""
    if options.has("noconnect"):
        return Link(client.head, client.head, client.lost)
    host, _, port = (options.hosts[0] if options.hosts else "").partition(":")
    ports = [PORT, *([_https(daemon.directory)] if port else [])]
    to = {"": "", "localhost": "", "127.0.0.1": "", "master": daemon.ha.active}.get(host, host)
    if port and port not in ports:
        raise messages.CmshError(messages.UNREACHABLE)
    try:
        return daemon.ha.connect(client.head, to, redirect=not options.has("noredirect"), lost=client.lost)
    except UnreachableError as error:
        raise messages.CmshError(messages.UNREACHABLE) from error


def _https(directory: Path) -> str:
    file = directory / "cmd" / "https"
    return file.read_text(encoding="utf-8").strip().rpartition(":")[2] if file.is_file() else PORT


def _session(session: Session, options: Options, client: Client) -> bool:
    """Run all commands of one connected session; whether it failed."""
    try:
        if not options.has("norc"):
            for text in _rc_texts(session.root):
                session.run_line(text)
        session.echo = options.has("echo")
        session.quit_on_error = options.has("quit")
        _feed(session, options, client)
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


def _feed(session: Session, options: Options, client: Client) -> None:
    mark = ETX if options.has("controlflag") else ""
    if options.has("command"):
        _line(session, options.given["command"], client, mark)
    elif options.has("file"):
        _run_file(session, client, session.cwd / options.given["file"], mark)
    elif client.is_tty() or options.has("tty"):
        _interactive(session, client)
    else:
        for line in client.read_all().splitlines():
            client.write(line + "\n")  # standard input is echoed; -c and -f are not (bcm-facts §1.1)
            _line(session, line, client, mark)


def _line(session: Session, line: str, client: Client, mark: str) -> None:
    """Run a line; with -z what it printed ends in ETX (where exactly the real cmsh prints it is an assumption)."""
    try:
        session.run_line(line)
    finally:
        if mark:
            client.write(mark)


def _run_file(session: Session, client: Client, path: Path, mark: str) -> None:
    try:
        # Standard input is the client's: the session runs in the daemon.
        text = client.read_all() if path == Path("/dev/stdin") else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        session.failed = True
        session.tell_error(messages.CmshError(str(error)))
        return
    for line in text.splitlines():
        _line(session, line, client, mark)


def _interactive(session: Session, client: Client) -> None:
    while True:
        line = client.ask(session.prompt())
        if line is None:
            return
        session.run_line(line)
