"""The top-level modes of cmsh (bcm-facts §1.2)."""

from __future__ import annotations

from dataclasses import dataclass

from bcm_jobstats.simulator.otherkinds import PRODUCERS


@dataclass(frozen=True)
class Mode:
    """A top-level mode: the types of its objects, the one that a bare `add NAME` makes, and how `list` looks."""

    name: str
    kinds: tuple[str, ...]
    what: str
    plural: str
    """As counted after removals: ``Successfully removed 1 Devices`` (bcm-facts §1.5)."""
    format: str
    key: str = "name"
    told: str = ""
    """How prompts call it, where that is not its name: the producers live in ``monitoring->setup``."""


DEVICES = ("HeadNode", "PhysicalNode", "LiteNode", "PowerDistributionUnit")
MONITORING_HOME = "monitoring home"
"""Above `setup`, where the producers are."""
_FORMAT_DEVICE = "type:22, hostname:[16-32], mac:18, category:[16-32], ip:15, network:[14-32], status:[16-32]"
_FORMAT_PRODUCER = "type:24,name:32"
FORMAT_OVERLAY = "name:20,priority:10,allheadnodes:14,nodes:16,categories:16,roles:16"

MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("device", DEVICES, "device", "Devices", _FORMAT_DEVICE, "hostname"),
        Mode("category", ("Category",), "category", "Categories", "name:24,softwareimage:24,nodes:8"),
        Mode("configurationoverlay", ("ConfigurationOverlay",), "overlay", "ConfigurationOverlays", FORMAT_OVERLAY),
        Mode(
            "softwareimage", ("SoftwareImage",), "image", "SoftwareImages", "name:20,path:28,kernelversion:32,nodes:8"
        ),
        Mode(
            "wlm", ("SlurmWlmCluster",), "WLM cluster", "WlmClusters", "type:7,name:21,servers:12,submits:16,clients:16"
        ),
        Mode("profile", ("Profile",), "profile", "Profiles", "name:32,nonuser:9"),
        Mode("partition", ("Partition",), "partition", "Partitions", "name:20,clustername:32"),
        Mode("network", ("Network",), "network", "Networks", "name:20,netmaskbits:12,baseaddress:16,domainname:24"),
        Mode("user", ("User",), "user", "Users", "name:16,id:16,primarygroup:16,secondarygroups:24"),
        Mode(
            "monitoring", PRODUCERS, "producer", "MonitoringDataProducers", _FORMAT_PRODUCER, told="monitoring->setup"
        ),
        Mode(MONITORING_HOME, (), "", "", "", told="monitoring"),
        Mode("cert", (), "", "", ""),
        Mode("main", (), "", "", ""),
    )
}

OTHER_MODES = frozenset(
    (
        *("beegfs", "ceph", "cloud", "cmjob", "edgesite", "etcd", "fspart", "group", "hierarchy", "kubernetes"),
        *("nodegroup", "process", "rack", "session", "task", "unmanagednodeconfiguration"),
    )
)
"""Modes of the real cmsh that are not simulated (bcm-facts §1.2)."""
