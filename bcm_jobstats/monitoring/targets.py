"""Registrations on shared storage: nodes make them by themselves, the head node reconciles (design §3, §7).

Several clusters may share a directory, and administrators keep target files of their own in it: only what is this
cluster's is ever changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from bcm_jobstats.bcm.entities import CATEGORY, IGNORED_PRIORITY, OVERLAY, Cluster, Place
from bcm_jobstats.imaging.manifest import write_atomically
from bcm_jobstats.monitoring import compact
from bcm_jobstats.monitoring.registry import TargetFile, target_files, within
from bcm_jobstats.stack import Stack

ROLE_MONITOR = "role-monitor"
"""The enable.mode in which nodes register for a BCM role that is not ours."""
OK, DAMAGED, STALE, FOREIGN, OF = "ok", "damaged", "stale", "foreign", "of "
"""What a file is: as it should be; not so; of a node without the role; an administrator's; `of CLUSTER`, another."""
COMPACT = "compact"
"""The value of targets.read with which Prometheus reads the one file."""


@dataclass(frozen=True)
class Registration:
    """One target file: the node and the role that its name tells, and what it is (see OK and its like)."""

    node: str
    role: str
    path: Path
    state: str


def standing(file: TargetFile, cluster: str, nodes: Collection[str]) -> str:
    """Whose a file is: "" for this cluster's, else FOREIGN or `of CLUSTER`.

    It is ours by its label `cluster`; without one, as far as it can be read, when it has the name of a node of ours.
    """
    others = file.clusters - {cluster}
    ours = file.host in nodes
    if others and (ours or file.has_our_shape):
        return OF + ", ".join(sorted(others))
    return "" if ours or file.has_our_shape else FOREIGN


def registrations(directory: Path, cluster: str, nodes: Collection[str]) -> dict[tuple[str, str], Path]:
    """(node, role) -> file, of this cluster's files. Raises StorageHangs."""
    return {(file.host, file.role): file.path for file in of_cluster(target_files(directory), cluster, nodes)}


def of_cluster(files: Collection[TargetFile], cluster: str, nodes: Collection[str]) -> list[TargetFile]:
    """Those of the files that are this cluster's."""
    return [file for file in files if not standing(file, cluster, nodes)]


@dataclass(frozen=True)
class Targets:
    """The targets directory of a site; `directory` is its path on this machine, `nodes` those of BCM."""

    stack: Stack
    directory: Path
    nodes: Collection[str]

    @property
    def staging(self) -> Path:
        """The folder of unfinished files: Prometheus' glob reads every file of the directory, so it lies beside it."""
        return self.directory.parent / Path(self.stack.shared_folders()[1]).name

    @property
    def compact(self) -> Path:
        """The one file for Prometheus of a large cluster."""
        return self.directory.parent / Path(compact.beside(str(self.directory))).name

    def registered(self) -> dict[tuple[str, str], Path]:
        """(node, role) -> file, of this cluster's files."""
        return registrations(self.directory, self.stack.site.cluster, self.nodes)

    def listed(self, cluster: Cluster) -> list[Registration]:
        """Every file of the directory and what it is."""
        return self.judged(target_files(self.directory), cluster)

    def judged(self, files: Collection[TargetFile], cluster: Cluster) -> list[Registration]:
        """What each of the files is."""
        carriers = self.carriers(cluster)
        return [Registration(file.host, file.role, file.path, self._state(file, carriers)) for file in files]

    def carriers(self, cluster: Cluster) -> Mapping[str, set[str]]:
        """Role -> the nodes that should have registered for it, by what BCM says."""
        if self.stack.site.enable.mode == ROLE_MONITOR:
            return {role.name: carriers_of(cluster, str(role.settings.attach.with_role)) for role in self.stack.roles()}
        return {role.name: carriers_of(cluster, role.generic, role.target_service) for role in self.stack.roles()}

    def sync(self, cluster: Cluster) -> list[Registration]:
        """Remove stale registrations and mend damaged ones; returns those. A node that never registered is left alone:
        a target is there only while CMDaemon runs the role, or the agent sees it."""
        wrong = [registration for registration in self.listed(cluster) if registration.state in {STALE, DAMAGED}]
        within(self.directory, lambda: self._mend(wrong))
        return wrong

    def compacted(self) -> bool:
        """Have the one file hold the groups of all files, those of others too; False when it did, or is not wanted."""
        if self.stack.site.targets.read != COMPACT or not self.directory.is_dir():
            return False
        groups = [group for file in target_files(self.directory) for group in file.groups]
        return compact.written(self.compact, compact.text(groups), self.staging)

    def wanted_content(self, file: TargetFile) -> bytes:
        """What a file of ours should hold; its role has to be one that the site enables."""
        return self.stack.target_file(file.host, file.role)[1]

    def _mend(self, wrong: Collection[Registration]) -> None:
        for registration in wrong:
            if registration.state == STALE:
                registration.path.unlink(missing_ok=True)
            else:
                _, content = self.stack.target_file(registration.node, registration.role)
                unfinished = self.staging / registration.path.name
                write_atomically(unfinished, content)
                unfinished.replace(registration.path)

    def _state(self, file: TargetFile, carriers: Mapping[str, Collection[str]]) -> str:
        other = standing(file, self.stack.site.cluster, self.nodes)
        if other:
            return other
        if file.host not in carriers.get(file.role, ()):
            return STALE
        return OK if file.content == self.wanted_content(file) else DAMAGED


def carriers_of(cluster: Cluster, role: str, service: str = "") -> set[str]:
    """The nodes that have a role, or a service by itself, wherever from; ignored overlays do not count."""
    places = [
        where
        for where in cluster.places_with(role)
        if where.kind != OVERLAY or cluster.overlays[where.name].priority != IGNORED_PRIORITY
    ]
    places += [where for where, services in cluster.services.items() if service in services]
    return _node_names(cluster, places)


def _node_names(cluster: Cluster, places: Collection[Place]) -> set[str]:
    categories = {where.name for where in places if where.kind == CATEGORY}
    names = {node.name for node in cluster.nodes.values() if node.category in categories}
    return names | {node.name for where in places if where.kind != CATEGORY for node in cluster.members(where)}
