"""Starts the ground of a lab inside the daemon of a simulator: its network, its trees, its head node."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from bcm_jobstats.simulator.lab import bases, limits, network, sweep
from bcm_jobstats.simulator.lab.containernodes import ContainerNodes
from bcm_jobstats.simulator.lab.seed import seed_head, seed_image
from bcm_jobstats.simulator.lab.slurm import Slurm
from bcm_jobstats.simulator.lab.trees import Trees
from bcm_jobstats.simulator.layout import LAB_ADDRESS
from bcm_jobstats.simulator.noderunner import SimulatedNode

Tell = Callable[[str], None]


class Lab:
    """The lab in `directory`, with images of a Debian release. To be made before the daemon has threads."""

    def __init__(self, directory: Path, release: str) -> None:
        found = bases.ready(release)
        if found is None:
            raise bases.BaseError(f"the base trees of {release} are not there: build them first")
        sweep.sweep(directory, keep=True)  # what a lab that was killed here has left
        os.umask(0o022)  # what it makes is read by the nodes' users
        limits.lift(print)
        network.enter_own()
        network.make_bridge(LAB_ADDRESS[0])
        self._directory = directory
        self.trees = Trees(directory, found)
        self.trees.mount_head()
        self.trees.mount_images()

    def seed_image(self, slurm_etc: str) -> Callable[[Path], None]:
        """Makes new images: for `headtree.make_head`."""

        def seed(image: Path) -> None:
            self.trees.make_image(image, lambda root: seed_image(root, slurm_etc))

        return seed

    def node(self, name: str, address: str) -> SimulatedNode:
        """A node as the runner takes it."""
        return SimulatedNode(name, address, self.trees.node(name))

    @staticmethod
    def slurm(shared: Path) -> Slurm:
        """The workload manager, with its files on the shared storage."""
        return Slurm(shared)

    def runner(
        self, head: str, nodes: Iterable[SimulatedNode], shared: Path, slurm_etc: str, *, tell: Tell, reboot: Tell
    ) -> ContainerNodes:
        """The nodes, of which the head is up. `tell` gets the texts of events, `reboot` nodes that boot anew."""
        seed_head(self._directory, head, slurm_etc)
        machine = SimulatedNode(head, LAB_ADDRESS[0], self._directory)
        runner = ContainerNodes(machine, nodes, self.trees, shared=shared, on_event=tell, on_reboot=reboot)
        try:
            runner.boot_head()
        except BaseException:
            runner.close()
            raise
        return runner
