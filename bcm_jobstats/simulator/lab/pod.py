"""A lab that runs, as a shell sees it: commands on its nodes, whoever started it and from whatever process."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Optional

from bcm_jobstats.simulator.cluster import Simulator
from bcm_jobstats.simulator.lab import memory
from bcm_jobstats.simulator.lab.container import inside
from bcm_jobstats.simulator.lab.controlgroups import ControlGroups
from bcm_jobstats.simulator.layout import HEAD

USER = "alice"
"""The ordinary user of the lab's images, who runs jobs."""
PROMETHEUS = "http://localhost:9090"
"""As the head node sees it."""


# With the process that enters a node ends what it runs there; whoever enters begins at home.
_ENTER = ("setpriv", "--pdeathsig", "KILL")
_HOME = ("sh", "-c", 'cd; exec "$@"', "sh")


class PodError(Exception):
    """A command of the lab that cannot be done: the object, the cause, the remedy."""


class Pod:
    """The lab in `directory`, which is the head node's root."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.simulator = Simulator(directory)
        self._groups = ControlGroups(directory)

    @property
    def running(self) -> bool:
        """Whether its CMDaemon runs."""
        return self.simulator.running

    def words(self, node: str, command: Sequence[str], user: str = "root") -> list[str]:
        """The words that run `command` on a node as a user; PodError when the node is not up."""
        process = self._groups.init(node)
        if process is None:
            raise PodError(self._absence(node))
        identity = ("--reuid", user, "--regid", user, "--init-groups", "--reset-env") if user != "root" else ()
        return inside(process, [*_ENTER, *identity, *_HOME, *command])

    def _absence(self, node: str) -> str:
        """Why one cannot enter a node."""
        if not self.running:
            return "the lab is down. Start it with: lab up"
        known = self.nodes()
        if node not in known:
            return f"{node}: no such node. There are {', '.join(known)}."
        return f"{node}: is off. Switch it on with: lab ssh {HEAD} cmsh -c 'device; power -n {node} on'"

    def become(self, node: str, command: Sequence[str], user: str = "root") -> NoReturn:
        """Replace this process by `command` on a node, with its terminal."""
        words = self.words(node, command, user)
        os.execvp(words[0], words)  # noqa: S606 - no shell is wanted

    def call(self, node: str, *command: str, user: str = "root") -> subprocess.CompletedProcess[str]:
        """Run a command on a node to its end; PodError when the node is not up."""
        words = self.words(node, command, user)
        return subprocess.run(words, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def run(self, node: str, *command: str, user: str = "root") -> str:
        """What a command on a node prints; PodError when it fails, with its last words."""
        done = self.call(node, *command, user=user)
        if done.returncode:
            told = (done.stderr.strip() or done.stdout.strip())[-500:]
            raise PodError(f"{node}: {shlex.join(command)} ended with {done.returncode}\n{told}")
        return done.stdout

    def nodes(self) -> dict[str, str]:
        """The nodes and their addresses; none when there is no lab."""
        try:
            return self.simulator.addresses()
        except OSError:
            return {}

    def memory(self, node: str) -> Optional[int]:
        """Bytes that a node takes, see `memory.used`."""
        return memory.used(self._groups, node)

    def entrance(self) -> str:
        """Where users come in: the first login node, else the head."""
        return next((node for node in self.nodes() if node.startswith("login-")), HEAD)

    def ready(self) -> list[str]:
        """The nodes that Slurm gives jobs to, or has given some."""
        try:
            lines = self.run(HEAD, "sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()
        except PodError:  # slurmctld does not answer yet
            return []
        found = dict(line.split() for line in lines)  # a state ends with * when the node does not answer
        return [node for node, state in found.items() if state in ("idle", "mixed", "allocated")]

    def query(self, expression: str) -> list[Mapping[str, Any]]:
        """What Prometheus answers to an instant query; nothing while it does not answer."""
        words = ("curl", "--silent", "--get", f"{PROMETHEUS}/api/v1/query", "--data-urlencode", f"query={expression}")
        try:
            found: list[Mapping[str, Any]] = json.loads(self.run(HEAD, *words))["data"]["result"]
        except (PodError, ValueError, KeyError):
            return []
        return found

    def targets(self) -> dict[str, bool]:
        """The targets that Prometheus has, as `job instance`, and whether they answer."""
        return {
            f"{sample['metric'].get('job')} {sample['metric'].get('instance')}": sample["value"][1] == "1"
            for sample in self.query("up")
        }
