"""The options of cmsh, and its usage (bcm-facts §1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from getopt import gnu_getopt

USAGE = """Usage:
  cmsh [options] [hostname[:port]]
  cmsh [options] -c <command>
  cmsh [options] -f <filename>

Options:
  --help|-h                  Display this help
  --noconnect|-u             Start unconnected
  --controlflag|-z           ETX in non-interactive mode
  --color <yes/no>           Define usage of colors
  --spool <dir>              Alternative /var/spool/cmd
  --tty|-t                   Pretend a TTY is available
  --noredirect|-r            Do not follow redirects
  --norc|-n                  Do not load cmshrc files on start-up
  --noquitconfirmation|-Q    Do not ask for quit confirmation
  --echo|-x                  Echo all commands
  --quit|-q                  Exit immediately after error
  --disablemultiline|-m      Disable multiline support
  --hide-events              Hide all events by default
  --disable-events           Disable all events by default

Arguments:
  hostname                   The hostname or IP to connect to
  command                    A list of cmsh commands to execute
  filename                   A file which contains a list of cmsh commands to execute

Examples:
  cmsh -c 'device status'                 Display the status of all devices
  cmsh --hide-events -c 'device status'   Without showing any events that arrive during this time
  cmsh -f some.file -q -x                 Execute and echo the commands of a file, exit at the first error

  --certificate|-i <file>    The certificate to use
  --key|-k <file>            The private key to use
"""
"""The lines of usage, the options and the examples are those of bcm-facts §1.1; the words beside most are not."""

SHORT = "huztrnQxqmi:k:c:f:"
LONG = [
    *("help", "noconnect", "controlflag", "color=", "spool=", "tty", "noredirect", "norc", "noquitconfirmation"),
    *("echo", "quit", "disablemultiline", "hide-events", "disable-events", "certificate=", "key=", "command=", "file="),
]
LETTERS = {
    **{"h": "help", "t": "tty", "n": "norc", "x": "echo", "q": "quit", "c": "command", "f": "file", "i": "certificate"},
    **{"k": "key", "u": "noconnect", "z": "controlflag", "r": "noredirect"},
}


@dataclass
class Options:
    """The command line of cmsh."""

    given: dict[str, str] = field(default_factory=dict)
    hosts: Sequence[str] = ()

    @staticmethod
    def parse(argv: Sequence[str]) -> Options:
        """The options by their long names, and the hosts to connect to."""
        found, hosts = gnu_getopt(list(argv), SHORT, LONG)
        given = {k[2:] if k.startswith("--") else LETTERS.get(k[1:], k[1:]): value for k, value in found}
        return Options(given, hosts)

    def has(self, name: str) -> bool:
        """Whether an option was given."""
        return name in self.given
