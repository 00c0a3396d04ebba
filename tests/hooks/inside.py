"""A mount namespace of its own, in which faults are made that must not be seen outside: nothing is left behind."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Inside:
    """The namespace: a command before a command runs that in it, and its files are found under `root`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.command = ["/usr/bin/nsenter", f"--mount=/proc/{process.pid}/ns/mnt", "--"]
        self.root = Path(f"/proc/{process.pid}/root")

    def do(self, script: str) -> None:
        """Run a shell script in the namespace."""
        subprocess.run([*self.command, "/bin/sh", "-euc", script], check=True, capture_output=True, text=True)

    def path(self, outside: Path) -> Path:
        """The file that has this name in the namespace."""
        return self.root / outside.relative_to("/")


@contextmanager
def inside(script: str = ":") -> Iterator[Inside]:
    """A new mount namespace in which the shell script was run; it ends with the process that holds it."""
    # What holds it reads a line that never comes, until its input is closed.
    command = [
        "/usr/bin/unshare",
        "--mount",
        "--propagation=private",
        "/bin/sh",
        "-euc",
        f"{script}\necho ready; read -r _",
    ]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert holder.stdout
        said = holder.stdout.readline()
        assert said == "ready\n", holder.communicate()[1]
        yield Inside(holder)
    finally:
        holder.communicate()
