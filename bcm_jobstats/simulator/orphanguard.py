"""Makes sure that no service of a process node outlives the simulated CMDaemon, however that ends.

A small shell process holds the read end of a pipe. When the daemon dies, even by SIGKILL, the pipe ends and the guard
kills every process that carries the cluster's mark in its environment. Why not PR_SET_PDEATHSIG: it fires when the
*thread* that forked ends (the pool's threads come and go), setting it needs a preexec_fn, which is not safe in a
process with threads, and it reaches only the direct child, not what a service starts in its turn. The mark is
inherited by all of them and leaves no moment between start and registration.
"""

from __future__ import annotations

import subprocess
import uuid

MARK = "BCM_SIMULATED_CLUSTER"
# A zombie's environ reads as empty, so the loop ends; the round limit is for what even the kernel cannot kill. After a
# sudden death a second look finds what was between fork and exec at the first. After `close` nothing can be.
_SCRIPT = r"""
trap '' HUP INT TERM
looks=2
while read -r line; do looks=1; done
for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    found=$(grep -lsz -- "^$1\$" /proc/[0-9]*/environ)
    for file in $found; do pid=${file#/proc/}; kill -KILL "${pid%/environ}" 2>/dev/null; done
    if [ -z "$found" ]; then
        looks=$((looks - 1))
        [ $looks -gt 0 ] || exit 0
        sleep 0.1
    fi
done
"""


class OrphanGuard:
    """Kills what is left of a cluster's services when it is closed or when this process dies."""

    def __init__(self) -> None:
        self._token = uuid.uuid4().hex
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "simulated-cluster-guard", f"{MARK}={self._token}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            start_new_session=True,
        )

    @property
    def environment(self) -> dict[str, str]:
        """The mark: to be in the environment of every process of the cluster."""
        return {MARK: self._token}

    def close(self) -> None:
        """Kill every process that still carries the mark, and end the guard."""
        self._process.communicate(b"closed\n", timeout=10)
