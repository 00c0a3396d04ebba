"""Whose a target file is. Only what a node of this cluster wrote, or a damaged file in its place, is ever changed.

Several clusters may share a directory, and administrators keep target files of their own in it, also of nodes that BCM
knows and with the labels that ours have: what a node writes is told from those by its bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bcm_jobstats.monitoring.registry import LABELS, NO_FILE, TargetFile
from bcm_jobstats.stack import Stack, targets
from bcm_jobstats.stack.definitions import Exporter

FOREIGN, OF = "foreign", "of "
"""What a file of others is: an administrator's; `of CLUSTER`, another."""


def key(name: str) -> str:
    """How names of a node are compared: agents write it short and in lower case, BCM and other nodes as it is there."""
    return name.split(".", 1)[0].lower()


@dataclass(frozen=True)
class Ownership:
    """What tells this cluster's files: its name, its nodes (by `key`), our roles, and the jobs of all our exporters."""

    cluster: str
    nodes: Mapping[str, str]
    roles: Collection[str]
    jobs: Collection[str]

    @classmethod
    def of(cls, stack: Stack, nodes: Collection[str]) -> Ownership:
        """That of a site; `nodes` are those of BCM. Also roles and exporters count that the site does not enable."""
        jobs = {exporter.label for exporter in stack.definitions.exporters.values()}
        roles = {*stack.definitions.roles, *stack.site.roles}
        return cls(stack.site.cluster, {key(name): name for name in nodes}, roles, jobs)

    def node(self, host: str) -> str:
        """BCM's name for a host; the host itself when BCM knows none."""
        return self.nodes.get(key(host), host)

    def knows(self, host: str) -> bool:
        """Whether it is a node of ours."""
        return key(host) in self.nodes

    def named(self, file: TargetFile) -> bool:
        """Whether it has a name that nodes give."""
        return file.role in self.roles and file.path.name == targets.file_name(file.host, file.role)

    def standing(self, file: TargetFile) -> str:
        """Whose it is: "" for this cluster's, else FOREIGN or `of CLUSTER`."""
        others = file.clusters - {self.cluster}
        in_place = self.named(file) and self.knows(file.host)
        if others and (in_place or file.has_our_shape):
            return OF + ", ".join(sorted(others))
        return "" if self.written(file) or (in_place and self._damaged(file)) else FOREIGN

    def written(self, file: TargetFile) -> bool:
        """Whether a node wrote it: byte for byte what one writes for some of our exporters, on whatever ports."""
        try:
            ports = [(group.labels["job"], int(group.targets[0].rpartition(":")[2])) for group in file.groups]
        except (LookupError, ValueError):
            return False
        if not ports or not self.named(file) or not {job for job, _ in ports} <= set(self.jobs):
            return False
        exporters = [Exporter(name=job, role=file.role, binary="", port=port) for job, port in ports]
        return targets.fill(targets.template(self.cluster, exporters), file.host) == file.content

    def _damaged(self, file: TargetFile) -> bool:
        """Whether it may have been ours: nothing that Prometheus takes, or our labels with other values."""
        if file.fault:
            return file.fault != NO_FILE
        labels = [group.labels for group in file.groups]
        return all(set(one) == LABELS and one["job"] in {"", *self.jobs} for one in labels)
