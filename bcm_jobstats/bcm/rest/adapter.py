"""The adapter of the port over JSON and REST: it reads; its writing methods say so."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Optional

from bcm_jobstats.bcm import assembly
from bcm_jobstats.bcm.entities import Cluster, GenericRole, Overlay, Place, Producer, Service, WlmCluster
from bcm_jobstats.bcm.rest import reading
from bcm_jobstats.bcm.rest.client import Client
from bcm_jobstats.bcm.rest.errors import ReadOnly


class RestBcm:
    """BCM through JSON and REST, for callers that only look."""

    name = "rest"
    writes = False
    helper = ""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._services: Sequence[str] = reading.OVERLAY_SERVICES

    def read(self, roles: Collection[str] = (), *, every_node: bool = False) -> Cluster:
        """See the port. Seven questions; one more the first time when overlays are not where they are likeliest."""
        service, overlays = reading.overlays(self._client, self._services)
        self._services = (service,)
        return assembly.narrowed(reading.cluster(self._client, overlays), roles, every_node=every_node)

    def can_assign(self, where: Place, role: str) -> bool:
        """See the port. It cannot be tried without a commit here, so what is assumed stands (bcm-facts §13 #1)."""
        return True

    def save_overlay(self, before: Optional[Overlay], after: Overlay) -> Optional[Overlay]:
        """Raises ReadOnly."""
        raise ReadOnly(f"overlay {after.name}")

    def remove_overlay(self, name: str) -> Optional[Overlay]:
        """Raises ReadOnly."""
        raise ReadOnly(f"overlay {name}")

    def save_role(self, where: Place, before: Optional[GenericRole], after: GenericRole) -> Optional[GenericRole]:
        """Raises ReadOnly."""
        raise ReadOnly(f"role {after.name} of {where}")

    def remove_role(self, where: Place, name: str) -> Optional[GenericRole]:
        """Raises ReadOnly."""
        raise ReadOnly(f"role {name} of {where}")

    def save_service(self, where: Place, before: Optional[Service], after: Service) -> Optional[Service]:
        """Raises ReadOnly."""
        raise ReadOnly(f"service {after.name} of {where}")

    def remove_service(self, where: Place, before: Service) -> Optional[Service]:
        """Raises ReadOnly."""
        raise ReadOnly(f"service {before.name} of {where}")

    def save_wlm(self, before: WlmCluster, after: WlmCluster) -> Optional[WlmCluster]:
        """Raises ReadOnly."""
        raise ReadOnly(f"wlm cluster {after.name}")

    def update_nodes(self, category: str) -> None:
        """Raises ReadOnly."""
        raise ReadOnly(f"imageupdate of category {category}")

    def restart_services(self, category: str, services: Collection[str]) -> None:
        """Raises ReadOnly."""
        raise ReadOnly(f"services {', '.join(services)} of category {category}")

    def producers(self) -> Mapping[str, Producer]:
        """Raises ReadOnly: no public text has a call that tells of monitoring data producers."""
        raise ReadOnly("monitoring data producers")

    def save_producer(self, before: Optional[Producer], after: Producer) -> Optional[Producer]:
        """Raises ReadOnly."""
        raise ReadOnly(f"monitoring data producer {after.name}")

    def remove_producer(self, name: str) -> Optional[Producer]:
        """Raises ReadOnly."""
        raise ReadOnly(f"monitoring data producer {name}")

    def execute(self, nodes: Collection[str], command: str) -> Mapping[str, str]:
        """Raises ReadOnly."""
        raise ReadOnly("commands on nodes")

    def service_states(self, nodes: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        """Raises ReadOnly: no public text has a call that tells the states of services (bcm-facts §8.1)."""
        raise ReadOnly("states of services")
