"""The port: all that bcm_jobstats asks of BCM. Every write is read back before it returns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Optional, Protocol

from bcm_jobstats.bcm.entities import Cluster, GenericRole, Overlay, Place, Producer, Service, WlmCluster

PROBE_ROLE = "generic::bcm-jobstats-probe"
"""The role with which it is tried out whether a new one can be assigned; it is never committed."""


class Bcm(Protocol):
    """One BCM cluster. The number of calls behind each method does not depend on the number of nodes.

    Every method raises Unreachable or Unreadable; the writing ones raise Refused when BCM says no.
    """

    name: str
    """The way to BCM as `--bcm` calls it."""
    writes: bool
    """Whether the writing methods work."""
    helper: str
    """What another way has to do for this one, and why; empty where it does everything itself."""

    def read(self, roles: Collection[str] = (), *, every_node: bool = False) -> Cluster:
        """Everything at once. What is assigned to single nodes is looked up on the nodes that carry one of `roles`,
        or on every node."""

    def save_overlay(self, before: Optional[Overlay], after: Overlay) -> Optional[Overlay]:
        """Create (`before` is None) or change an overlay; returns what is there afterwards."""

    def remove_overlay(self, name: str) -> Optional[Overlay]:
        """Remove an overlay; returns what is there afterwards."""

    def save_role(self, where: Place, before: Optional[GenericRole], after: GenericRole) -> Optional[GenericRole]:
        """Assign or change a generic role; returns what is there afterwards."""

    def remove_role(self, where: Place, name: str) -> Optional[GenericRole]:
        """Unassign a generic role; returns what is there afterwards."""

    def save_service(self, where: Place, before: Optional[Service], after: Service) -> Optional[Service]:
        """Add or change a service of a category or node; returns what is there afterwards."""

    def remove_service(self, where: Place, before: Service) -> Optional[Service]:
        """Remove a service; returns what is there afterwards. One of that name with another revision is another one,
        which a role or the category brings."""

    def save_wlm(self, before: WlmCluster, after: WlmCluster) -> Optional[WlmCluster]:
        """Change settings of a Slurm cluster, those alone that differ; returns what is there afterwards. An empty value
        clears a setting. CMDaemon then reconfigures or restarts Slurm's daemons (bcm-facts §5.2)."""

    def can_assign(self, where: Place, role: str) -> bool:
        """Whether a new generic role can be assigned here: tried and dropped again, never committed."""

    def update_nodes(self, category: str) -> None:
        """Bring the running nodes of a category to their software image (imageupdate), and wait for it."""

    def restart_services(self, category: str, services: Collection[str]) -> None:
        """Restart services on the nodes of a category that have them."""

    def producers(self) -> Mapping[str, Producer]:
        """All monitoring data producers that sample Prometheus exporters, by name."""

    def save_producer(self, before: Optional[Producer], after: Producer) -> Optional[Producer]:
        """Create or change a producer; returns what is there afterwards."""

    def remove_producer(self, name: str) -> Optional[Producer]:
        """Remove a producer; returns what is there afterwards."""

    def execute(self, nodes: Collection[str], command: str) -> Mapping[str, str]:
        """node -> what a shell command printed there, run as root by CMDaemon; nodes that did not answer are left out.

        The command must not hold double quotes, backslashes, backquotes or newlines: it is one quoted argument.
        """

    def service_states(self, nodes: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        """node -> service -> state (UP, DOWN, STOPPED, FAILING)."""
