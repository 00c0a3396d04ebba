"""The top-level modes of cmsh (bcm-facts §1.2)."""

from __future__ import annotations

from dataclasses import dataclass


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


_FORMAT_DEVICE = "type:22,hostname:[16-32],mac:18,category:[16-32],ip:15,network:[14-32],status:[16-32]"
_FORMAT_OVERLAY = "name:20,priority:10,allheadnodes:14,nodes:16,categories:16,roles:16"

MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("device", ("HeadNode", "PhysicalNode"), "device", "Devices", _FORMAT_DEVICE, "hostname"),
        Mode("category", ("Category",), "category", "Categories", "name:24,softwareimage:24,nodes:8"),
        Mode("configurationoverlay", ("ConfigurationOverlay",), "overlay", "ConfigurationOverlays", _FORMAT_OVERLAY),
        Mode(
            "softwareimage", ("SoftwareImage",), "image", "SoftwareImages", "name:20,path:28,kernelversion:32,nodes:8"
        ),
        Mode(
            "wlm", ("SlurmWlmCluster",), "WLM cluster", "WlmClusters", "type:7,name:21,servers:12,submits:16,clients:16"
        ),
        Mode("main", (), "", "", ""),
    )
}

OTHER_MODES = frozenset(
    (
        *("beegfs", "ceph", "cert", "cloud", "cmjob", "edgesite", "etcd", "fspart", "group", "hierarchy", "kubernetes"),
        *("monitoring", "network", "nodegroup", "partition", "process", "profile", "rack", "session", "task"),
        *("unmanagednodeconfiguration", "user"),
    )
)
"""Modes of the real cmsh that are not simulated (bcm-facts §1.2)."""
