"""Whether BCM tells agents of the role that they follow: they ask /rest/v1/device, and that is not documented to list
roles of overlays and categories (capability rest-roles). It is asked as they ask: by their own code, at the names and
the port in their configuration, with their certificate and authority."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Callable, TypeVar

from bcm_jobstats.bcm.choice import Access
from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.checks.keys import exists
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.monitoring.targets import carriers_of
from bcm_jobstats.node import heads, tls
from bcm_jobstats.node.config import Config
from bcm_jobstats.node.devices import Devices
from bcm_jobstats.site.noderange import fold
from bcm_jobstats.slurm.findings import ERROR, WARNING, Finding
from bcm_jobstats.stack import Stack, agent

T = TypeVar("T")


def findings(stack: Stack, root: Path, access: Access, cluster: Cluster) -> Iterator[Finding]:
    """Head nodes that do not tell agents anything, and nodes with the followed role that an answer lacks."""
    role = next((one.carried_by for one in stack.roles()), "") if stack.monitored else ""
    if not role:
        return
    config = _config(stack, root, access, role)
    told: list[Devices] = []
    silent: list[JobstatsError] = []
    for head in config.heads:
        try:
            told.append(heads.Heads(config._replace(heads=(head,)), tls.Tls(config, _at_once, _say)).ask())
        except JobstatsError as error:
            silent.append(error)
    for one in silent:
        cause = f"{one.cause}; agents ask it by that name, at port {config.port}"
        yield Finding(WARNING if told else ERROR, one.subject, cause, one.remedy)
    carriers = sorted(name for name in carriers_of(cluster, role) if not cluster.nodes[name].is_head)
    for missing in dict.fromkeys(tuple(_missing(devices, carriers)) for devices in told):
        if missing:
            yield _lacking(role, missing, len(carriers))


def _config(stack: Stack, root: Path, access: Access, role: str) -> Config:
    """What agents go by, with files below `root`; what they lack as yet is ours."""
    own = [root / path.lstrip("/") for path in (agent.CERTIFICATE, agent.KEY, agent.CA)]
    if not all(exists(path) for path in own):
        own = [*access.credentials, access.ca]
    certificate, key, ca = own
    port, name = int(stack.site.bcm.address.rpartition(":")[2]), stack.site.role_monitor.server_name
    config = Config(port=port, certificate=certificate, key=key, ca=ca, server_name=name or None, role=role)
    return config._replace(heads=stack.heads) if stack.heads else config


def _missing(devices: Devices, carriers: Iterable[str]) -> Iterator[str]:
    return (name for name in carriers if not devices.roles.get(name.partition(".")[0].lower()))


def _lacking(role: str, missing: Collection[str], number: int) -> Finding:
    cause = f"lists {role} for {number - len(missing)} of the {number} nodes with it, not {fold(missing)}"
    remedy = (
        "No agent can follow it there. Use enable.mode: generic-role or services; or assign the role to the nodes "
        "themselves."
    )
    return Finding(ERROR, heads.PATH, cause, remedy)


def _at_once(what: str, function: Callable[[], T]) -> T:
    return function()


def _say(priority: int, line: str) -> None:
    """Of their certificate the other checks tell."""
