"""One node as a systemd container: boot, commands inside, shutdown, loss of power (lab.md §3)."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bcm_jobstats.simulator.lab.controlgroups import ControlGroups

BOOT_SECONDS = 60.0
HALT_SECONDS = 20.0
REBOOT = 133
"""The exit status of systemd-nspawn when the container wants to be started again."""
INIT = "/usr/lib/bcm-simulator/init"
INIT_TEXT = """\
#!/bin/sh
# Process 1 of a simulated node until systemd takes over: a container finds the controllers of cgroup v1 read-only,
# where a machine, and Slurm on it, may write them.
for controller in /sys/fs/cgroup/*/; do
    mount -o remount,bind,rw "$controller" 2>/dev/null
done
exec /lib/systemd/systemd
"""
_NAMESPACES = ("-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w")
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": os.environ.get("TERM", "dumb"),
}


def inside(process: int, command: Sequence[str], environment: Mapping[str, str] | None = None) -> list[str]:
    """The words that run `command` as root in the container whose process 1 has the number `process` here."""
    variables = [f"{name}={value}" for name, value in {**_ENVIRONMENT, **(environment or {})}.items()]
    return ["nsenter", "-t", str(process), *_NAMESPACES, "env", "-i", *variables, *command]


class ContainerError(Exception):
    """A container that does not boot, or is not there."""


@dataclass(frozen=True)
class Machine:
    """What a container is started with: its root, shell commands that make a network of its own, mounts."""

    name: str
    root: Path
    link: str
    """Empty for the head node, whose network is that of this process."""
    binds: Mapping[Path, str]
    """Paths of this machine, and where the node has them."""


class Container:
    """The container of one node. `mark` goes into the environment of the processes that hold it."""

    def __init__(self, machine: Machine, groups: ControlGroups, run: Path, mark: Mapping[str, str]) -> None:
        """`run` is a directory for its console's log and the socket at which it says that it is up."""
        self.machine = machine  # as it is started the next time
        self._groups = groups
        self._mark = mark
        self.console = run / f"{machine.name}.console"
        self._socket = run / f"{machine.name}.ready"
        self._holder: subprocess.Popen[bytes] | None = None
        self._leader: int | None = None

    @property
    def up(self) -> bool:
        """Whether it was booted and runs."""
        return self._leader is not None and self._holder is not None and self._holder.poll() is None

    @property
    def rebooting(self) -> bool:
        """Whether it ended because somebody on it had it boot anew."""
        return self._holder is not None and self._holder.poll() == REBOOT

    def boot(self) -> None:
        """Start it and wait until systemd says that the boot is complete; ContainerError when it does not come up."""
        self._socket.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(str(self._socket))
            try:
                self._await(ready, self._start())
            except BaseException:
                self.kill()
                raise
            finally:
                self._socket.unlink(missing_ok=True)

    def _start(self) -> subprocess.Popen[bytes]:
        groups = self._groups.make(self.machine.name)
        with self.console.open("wb") as console:
            self._holder = holder = subprocess.Popen(
                [*(["unshare", "--net"] if self.machine.link else []), "sh", "-ec", self._script(groups)],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    **self._mark,
                    "NOTIFY_SOCKET": str(self._socket),
                    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1" if len(groups) == 1 else "0",
                },
                start_new_session=True,
            )
        return holder

    def _script(self, groups: Sequence[Path]) -> str:
        machine = self.machine
        nspawn = ["systemd-nspawn", "--quiet", f"--directory={machine.root}", f"--machine={machine.name}"]
        # Neither a bus nor a unit of systemd is needed on this machine (lab.md §3).
        nspawn += ["--register=no", "--keep-unit", "--network-namespace-path=/proc/self/ns/net", "--resolv-conf=off"]
        nspawn += ["--link-journal=no", "--console=pipe", "--notify-ready=yes", "--kill-signal=SIGRTMIN+3"]
        nspawn += [f"--bind={path}:{place}" for path, place in machine.binds.items()]
        enter = "".join(f"echo 0 > {shlex.quote(str(group / 'cgroup.procs'))}\n" for group in groups)
        # A name space of processes of its own, so that with the process that holds it the whole container ends.
        hold = ["unshare", "--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child", "--mount-proc"]
        return f"{enter}{machine.link}exec {shlex.join([*hold, *nspawn, INIT])}\n"

    def _await(self, ready: socket.socket, holder: subprocess.Popen[bytes]) -> None:
        """The end of the boot, as systemd-nspawn passes it on (sd_notify)."""
        deadline = time.monotonic() + BOOT_SECONDS
        ready.settimeout(0.2)
        while True:
            with suppress(socket.timeout):
                if b"READY=1" in ready.recv(4096):
                    break
            if holder.poll() is not None or time.monotonic() > deadline:
                log = self.console.read_text(encoding="utf-8", errors="replace")[-800:]
                raise ContainerError(f"{self.machine.name}: the container did not boot\n{log}")
        self._leader = self._groups.init(self.machine.name)
        if self._leader is None:
            raise ContainerError(f"{self.machine.name}: no process 1 in its control groups")

    def run(self, *command: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command inside and wait; stdout and stderr come together, as text. ContainerError when it is not up."""
        if self._leader is None or not self.up:
            raise ContainerError(f"{self.machine.name}: the node is down")
        return subprocess.run(
            inside(self._leader, command),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
        )

    def halt(self) -> None:
        """Shut down in order; what does not end in time is killed."""
        if self.up and self._holder is not None and self._leader is not None:
            with suppress(ProcessLookupError):
                os.kill(self._leader, signal.SIGRTMIN + 3)  # systemd: halt
            with suppress(subprocess.TimeoutExpired):
                self._holder.wait(HALT_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Everything of it ends at once, as with a loss of power."""
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()
        self._holder = self._leader = None
        self._groups.remove(self.machine.name)
