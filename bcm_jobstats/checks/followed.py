"""Whether BCM tells agents of the role that they follow: they ask /rest/v1/device, and that is not documented to list
roles of overlays and categories (capability rest-roles)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bcm_jobstats.bcm.choice import Access, client
from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.bcm.rest.effective import effective_roles
from bcm_jobstats.checks.keys import exists
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.monitoring.targets import carriers_of
from bcm_jobstats.site.noderange import fold
from bcm_jobstats.slurm.findings import ERROR, Finding
from bcm_jobstats.stack import Stack, agent

DEVICES = "/rest/v1/device"


def findings(stack: Stack, root: Path, access: Access, cluster: Cluster) -> Iterator[Finding]:
    """Nodes with the followed role that BCM's answer lacks; it is asked with the agents' own certificate where that is
    there, so that their rights are tried too."""
    role = next((one.carried_by for one in stack.roles()), "") if stack.monitored else ""
    if not role:
        return
    certificate, key = (root / path.lstrip("/") for path in (agent.CERTIFICATE, agent.KEY))
    if exists(certificate) and exists(key):
        access = replace(access, certificate=certificate, key=key)
    try:
        told = effective_roles(client(access))
    except JobstatsError as error:
        yield Finding(ERROR, error.subject, f"{error.cause}: the agents would know no role", error.remedy)
        return
    listed = {name.lower() for name, roles in told.items() if role.lower() in roles}
    carriers = {name for name in carriers_of(cluster, role) if not cluster.nodes[name].is_head}
    missing = sorted(name for name in carriers if name.lower() not in listed)
    if missing:
        cause = (
            f"lists {role} for {len(carriers) - len(missing)} of the {len(carriers)} nodes with it, not {fold(missing)}"
        )
        remedy = (
            "No agent can follow it there. Use enable.mode: generic-role or services; or assign the role to the nodes "
            "themselves."
        )
        yield Finding(ERROR, DEVICES, cause, remedy)
