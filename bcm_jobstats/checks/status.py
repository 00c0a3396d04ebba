"""What runs where: node by node, from BCM, the targets directory and Prometheus, in a constant number of calls."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Optional

from bcm_jobstats.deployment import Deployment
from bcm_jobstats.monitoring.ownership import key
from bcm_jobstats.stack import RoleSpec

UP = "UP"


@dataclass(frozen=True)
class Row:
    """One role on one node. `services` are those that CMDaemon starts: with enable.mode role-monitor the agent, whose
    exporters only Prometheus can tell of. `scraped` counts exporters; None: Prometheus was not asked, or silent."""

    node: str
    role: str
    services: Mapping[str, str]
    target: bool
    scraped: Optional[int]
    exporters: int

    @property
    def running(self) -> int:
        """How many services are up."""
        return sum(state == UP for state in self.services.values())

    @property
    def ok(self) -> bool:
        """Whether everything of this role on this node works."""
        services = bool(self.services) and self.running == len(self.services)
        return services and self.target and self.scraped in {None, self.exporters}


def rows(deployment: Deployment, scrapes: Optional[Mapping[tuple[str, str], bool]]) -> list[Row]:
    """Every node with a role of ours, or with a registration that outlived it; `scrapes` is what Prometheus says."""
    found = []
    registered, roles = set(deployment.targets.registered()), deployment.stack.roles()
    heads = {node.name for node in deployment.cluster.nodes.values() if node.is_head}
    carriers = deployment.targets.carriers(deployment.cluster)
    if deployment.stack.monitored:  # a head node may have the followed role, and has no agent
        carriers = {role: nodes - heads for role, nodes in carriers.items()}
    asked = {node for nodes in carriers.values() for node in nodes}
    states = deployment.bcm.service_states(asked) if asked else {}
    for role in roles:
        nodes = carriers[role.name] | {node for node, name in registered if name == role.name}
        found += [_row(role, node, states.get(node, {}), registered, scrapes) for node in sorted(nodes)]
    return sorted(found, key=lambda row: (row.node, row.role))


def _row(
    role: RoleSpec,
    node: str,
    states: Mapping[str, str],
    registered: set[tuple[str, str]],
    scrapes: Optional[Mapping[tuple[str, str], bool]],
) -> Row:
    services = {name: states.get(name, "none") for name in role.started}
    jobs = [exporter.label for exporter in role.exporters]
    answering = None if scrapes is None else scraped(node, jobs, scrapes)
    return Row(node, role.name, services, (node, role.name) in registered, answering, len(jobs))


def scraped(node: str, jobs: Collection[str], scrapes: Mapping[tuple[str, str], bool]) -> int:
    """How many of the jobs Prometheus has an answer of; agents register a node by its short name in lower case."""
    return sum(scrapes.get((node, job), False) or scrapes.get((key(node), job), False) for job in jobs)
