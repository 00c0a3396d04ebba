"""The process that is started as cmsh or cmha: it hands its arguments to CMDaemon and prints what comes back.

It imports little and nothing of this project: its start is what a client of the simulator pays for every call. To
import `json` and `socket` takes longer than all the rest, so it does with what those two are made of.
"""

from __future__ import annotations

import os
import sys
from _json import encode_basestring_ascii, make_scanner
from _socket import AF_UNIX, SOCK_STREAM, socket

UNREACHABLE = "Unable to connect to CMDaemon"
LOST = "Connection to CMDaemon lost"


class Strict:
    """What Python's own scanner of JSON wants to know."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float


def main(directory: str, head: str, tool: str, argv: list[str]) -> int:
    """Run a tool (cmsh, cmha) of a head node against the simulator in `directory`; the exit status."""
    try:
        settings = kept(directory, "client.json")
        link = socket(AF_UNIX, SOCK_STREAM)
        link.connect(os.path.join(directory, "cmd", settings["socket"]))  # noqa: PTH118  # an absolute one stays
    except (OSError, ValueError):
        return failed(directory, UNREACHABLE)
    first = {"argv": argv, "head": head, "tool": tool, "cwd": os.getcwd(), "tty": os.isatty(0)}  # noqa: PTH109
    first["inside"] = directory == "/"  # in the head node's own container, where its paths are what they are
    try:
        status = converse(link, first)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except KeyboardInterrupt:
        return 130
    except (OSError, ValueError):
        status = None
    return failed(directory, LOST) if status is None else status


def converse(link: socket, first: dict[str, object]) -> int | None:
    """Do what the daemon's messages say until the one that ends it; the exit status, None when the daemon is gone."""
    link.sendall(written(first) + b"\n")
    with open(link.fileno(), encoding="utf-8", newline="\n", closefd=False) as lines:  # no path
        for line in lines:
            told = read(line)
            if "out" in told:
                sys.stdout.write(told["out"])
                sys.stdout.flush()
            elif "err" in told:
                sys.stderr.write(told["err"])
            elif "want" in told:
                link.sendall(written({"text": asked(told)}) + b"\n")
            else:
                return int(told["exit"])
    return None


def asked(told: dict[str, str]) -> str | None:
    """Standard input: all of it, or a line at a prompt."""
    if told["want"] == "all":
        return sys.stdin.read()
    sys.stdout.write(told["prompt"])
    sys.stdout.flush()
    line = sys.stdin.readline()
    return line.rstrip("\n") if line else None


def failed(directory: str, text: str) -> int:
    """Say why there is no answer; the exit status is as honest as the switch says."""
    sys.stderr.write(text + "\n")
    try:
        return int(kept(directory, "switches.json").get("exit_status") == "honest")
    except (OSError, ValueError):
        return 0


def kept(directory: str, name: str) -> dict[str, str]:
    """What the daemon wrote into a file."""
    with open(os.path.join(directory, "cmd", name), encoding="utf-8") as file:  # noqa: PTH118, PTH123
        return read(file.read())


def read(text: str) -> dict[str, str]:
    """An object in JSON; ValueError when it is none."""
    try:
        found, _ = make_scanner(Strict)(text, 0)  # type: ignore[arg-type]  # its context, that is
    except StopIteration as end:
        raise ValueError(text) from end
    return found  # type: ignore[no-any-return]


def written(value: object) -> bytes:
    """Objects, lists, texts, truth and nothing, in JSON."""
    return encoded(value).encode()


def encoded(value: object) -> str:
    """The same, as text."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{encoded(key)}:{encoded(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(encoded, value)) + "]"
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    return "null" if value is None else str(bool(value)).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
