"""Slurm of the lab, as CMDaemon looks after it: its files, and what its daemons are told when they change."""

from __future__ import annotations

from pathlib import Path

from bcm_jobstats.simulator import services
from bcm_jobstats.simulator.lab.wlm import SERVICES, Action, Wlm
from bcm_jobstats.simulator.noderunner import NodeRunner, ServiceState
from bcm_jobstats.simulator.state import State

CONTROLLER, DAEMON = "slurmctld", "slurmd"
RECONFIGURE_SECONDS = 30.0


class Slurm:
    """The workload manager of one lab; see `following.WorkloadManager`."""

    def __init__(self, shared: Path) -> None:
        self._wlm = Wlm(shared)
        services.BROUGHT.update(SERVICES)

    def follow(self, state: State, runner: NodeRunner) -> list[tuple[str, str]]:
        """Write what differs, before services are started. What runs already, and has to be restarted: node, service.

        The controller comes first: a slurmd that comes back asks it.
        """
        action = self._wlm.follow(state)
        found = [(node, name) for name in (CONTROLLER, DAEMON) for node in state.table("device")]
        running = [(node, name) for node, name in found if runner.states(node).get(name) is ServiceState.UP]
        if action is Action.RECONFIGURE:
            for node in [node for node, name in running if name == CONTROLLER][:1]:
                runner.shell(node, "scontrol reconfigure", RECONFIGURE_SECONDS)
        return running if action is Action.RESTART else []
