"""A simulated NVIDIA Base Command Manager: a head node with cmsh, CMDaemon's behaviour, and nodes.

Built from public facts about BCM, not from what this project's clients send; it shares no code with them.
"""

from __future__ import annotations

from bcm_jobstats.simulator.cluster import Simulator, SimulatorError

__all__ = ["Simulator", "SimulatorError"]
