"""Commands about cmsh itself: quit, help, aliases, files of commands, how things are displayed (bcm-facts §1.2)."""

from __future__ import annotations

from bcm_jobstats.simulator import helptexts, messages, scripts
from bcm_jobstats.simulator.ha import UnreachableError
from bcm_jobstats.simulator.modes import MODES, OTHER_MODES
from bcm_jobstats.simulator.options import options
from bcm_jobstats.simulator.rolekinds import ROLE_KINDS
from bcm_jobstats.simulator.session import COMMANDS, QuitError, Session, command

Words = tuple[str, ...]


@command("quit")
def leave_cmsh(session: Session, words: Words) -> None:
    """End the session."""
    del session, words
    raise QuitError


@command("color", "quitconfirmation", "groupingsyntax", "watch", "history", "export", "time")
def accept(session: Session, words: Words) -> None:
    """Settings of the display, accepted; the simulator prints no colours anyway."""
    del session, words


@command("connect")
def connect(session: Session, words: Words) -> None:
    """Connect to CMDaemon, after --noconnect or `disconnect`."""
    del words
    if not session.connected:
        try:
            session.link = session.daemon.ha.connect(session.link.here)
        except UnreachableError as error:
            raise messages.CmshError(messages.UNREACHABLE) from error
        session.connected = True


@command("disconnect")
def disconnect(session: Session, words: Words) -> None:
    """Leave CMDaemon: only commands that need none work then."""
    del words
    session.connected = False
    session.go([])


@command("alias")
def alias(session: Session, words: Words) -> None:
    """Tell the aliases, or make one: ``alias NAME COMMANDS``."""
    if len(words) < 2:
        session.write("".join(f"{name}: {told}\n" for name, told in sorted(session.aliases.items())))
        return
    session.aliases[words[0]] = " ".join(words[1:])


@command("unalias")
def unalias(session: Session, words: Words) -> None:
    """Take an alias away."""
    if len(words) != 1 or words[0] not in session.aliases:
        raise messages.no_such("alias", " ".join(words))
    del session.aliases[words[0]]


@command("run")
def run(session: Session, words: Words) -> None:
    """Run files of commands: ``run [-x|--echo] [-q|--quit] FILE…`` (bcm-facts §1.2)."""
    found, files = options(words, {"echo": "x", "quit": "q"})
    if not files:
        raise messages.usage("run [-x] [-q] <file>...")
    before = session.echo, session.quit_on_error
    session.echo, session.quit_on_error = session.echo or "echo" in found, session.quit_on_error or "quit" in found
    try:
        for name in files:
            scripts.run_text(session, session.read_file(name), ())
    except QuitError:
        if before[1] or not session.failed:  # `quit` was asked for; else only -q of this file ends it
            raise
    finally:
        session.echo, session.quit_on_error = before


@command("delimiter")
def delimiter(session: Session, words: Words) -> None:
    """Show or set the delimiter of `list`."""
    if words:
        session.delimiter = words[0]
    else:
        session.write(f"{session.delimiter}\n")


@command("events")
def events(session: Session, words: Words) -> None:
    """Show events or not: ``events on``, ``events off``."""
    if words not in (("on",), ("off",)):
        raise messages.usage("events on|off")
    session.show_events = words == ("on",)


@command("help")
def help_text(session: Session, words: Words) -> None:
    """What a command does, or the modes and commands there are."""
    if words == ("assign",) and session.places.levels and session.places.here.mode == "roles":
        form = session.daemon.switches["generic_assign"]
        session.write(helptexts.help_assign(form, ", ".join(sorted(ROLE_KINDS))))
        return
    if words == ("createcertificate",):
        session.write(helptexts.HELP_CREATE_CERTIFICATE)
        return
    if not words and not session.places.levels:
        modes = sorted({*(mode for mode in MODES if " " not in mode), *OTHER_MODES})
        session.write("".join(f"{mode + ' ':.<24} Enter {mode} mode\n" for mode in modes))
    absent = {"hainfo"} if session.daemon.switches["hainfo"] == "absent" else set()
    known = [name for name in sorted(set(COMMANDS) - absent) if not words or name == words[0]]
    if not known:
        raise messages.unknown_command(words[0])
    for name in known:
        told = (COMMANDS[name].__doc__ or "").splitlines()[0]
        session.write(f"{name + ' ':.<24} {told}\n")
