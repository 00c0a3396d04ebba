"""The process that is started as cmsh or cmha: it hands its arguments to CMDaemon and prints what comes back.

It imports little and nothing of this project: its start is what a client of the simulator pays for every call.
"""

from __future__ import annotations

import json
import os
import socket
import sys

UNREACHABLE = "Unable to connect to CMDaemon"
LOST = "Connection to CMDaemon lost"


def main(directory: str, head: str, tool: str, argv: list[str]) -> int:
    """Run a tool (cmsh, cmha) of a head node against the simulator in `directory`; the exit status."""
    try:
        with open(os.path.join(directory, "cmd", "client.json")) as file:  # noqa: PTH118, PTH123
            settings = json.load(file)
        link = socket.socket(socket.AF_UNIX)
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


def converse(link: socket.socket, first: dict[str, object]) -> int | None:
    """Do what the daemon's messages say until the one that ends it; the exit status, None when the daemon is gone."""
    link.sendall(json.dumps(first).encode() + b"\n")
    for line in link.makefile("rb"):
        told = json.loads(line)
        if "out" in told:
            sys.stdout.write(told["out"])
            sys.stdout.flush()
        elif "err" in told:
            sys.stderr.write(told["err"])
        elif "want" in told:
            link.sendall(json.dumps({"text": asked(told)}).encode() + b"\n")
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
        with open(os.path.join(directory, "cmd", "switches.json")) as file:  # noqa: PTH118, PTH123
            return int(json.load(file).get("exit_status") == "honest")
    except (OSError, ValueError):
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
