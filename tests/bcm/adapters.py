"""The adapters of the port over a simulated cluster."""

from __future__ import annotations

from bcm_jobstats.bcm.choice import CMSH, PYTHONCM, REST, Access, choose
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.simulator import Simulator

READERS = (CMSH, PYTHONCM, REST)
WRITERS = (CMSH, PYTHONCM)


def access(simulator: Simulator, timeout: float = 30.0) -> Access:
    """How a simulated cluster is reached."""
    root = simulator.directory
    return Access(root, timeout, simulator.https, root / "cm/local/apps/cmd/etc/cacert.pem")


def adapter(way: str, simulator: Simulator) -> Bcm:
    """The adapter that `--bcm` names."""
    return choose(way, access(simulator)).bcm


def questions(simulator: Simulator) -> list[str]:
    """What CMDaemon was asked since its log was reset: cmsh processes, JSON calls, documents."""
    log = simulator.control({"op": "log"})["result"]
    return [f"{kind} {entry[kind]}" for entry in log for kind in ("argv", "json", "rest", "pythoncm") if kind in entry]
