"""Registrations on shared storage: nodes make them by themselves, the head node reconciles (design §3, §7).

What is of others in the directory is never changed (see ownership).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bcm_jobstats.bcm.entities import CATEGORY, IGNORED_PRIORITY, OVERLAY, Cluster, Place
from bcm_jobstats.monitoring import compact, writing
from bcm_jobstats.monitoring.ownership import FOREIGN, Ownership, key
from bcm_jobstats.monitoring.registry import NoDirectory, TargetFile, files_if_any, stamp, target_files, within
from bcm_jobstats.stack import Stack

SHARED_LISTS = "roles-"
"""How the names of the lists begin that agents share in the staging folder (node.sharing)."""
OK, DAMAGED, STALE = "ok", "damaged", "stale"
"""What a file of ours is: as it should be; not so; of a node without the role, or that BCM does not know."""
COMPACT = "compact"
"""The value of targets.read with which Prometheus reads the one file."""


@dataclass(frozen=True)
class Registration:
    """One target file: the node (as BCM has it) and the role that its name tells, and what it is (OK and its like)."""

    node: str
    role: str
    path: Path
    state: str


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
        return Path(compact.beside(str(self.directory), self.stack.site.cluster))

    @cached_property
    def ownership(self) -> Ownership:
        """What tells files of this cluster."""
        return Ownership.of(self.stack, self.nodes)

    def written(self) -> list[TargetFile]:
        """The files that nodes of this cluster wrote."""
        return [file for file in files_if_any(self.directory) if self.ownership.written(file)]

    def registered(self) -> dict[tuple[str, str], Path]:
        """(node as BCM has it, role) -> file, of those."""
        return {(self.ownership.node(file.host), file.role): file.path for file in self.written()}

    def listed(self, cluster: Cluster) -> list[Registration]:
        """Every file of the directory and what it is."""
        return self.judged(files_if_any(self.directory), cluster)

    def judged(self, files: Collection[TargetFile], cluster: Cluster) -> list[Registration]:
        """What each of the files is."""
        carriers = {role: {key(node) for node in nodes} for role, nodes in self.carriers(cluster).items()}
        node = self.ownership.node
        return [Registration(node(file.host), file.role, file.path, self._state(file, carriers)) for file in files]

    def carriers(self, cluster: Cluster) -> Mapping[str, set[str]]:
        """Role -> the nodes that should have registered for it, by what BCM says."""
        if self.stack.monitored:
            return {role.name: carriers_of(cluster, str(role.settings.attach.with_role)) for role in self.stack.roles()}
        return {role.name: carriers_of(cluster, role.generic, role.target_service) for role in self.stack.roles()}

    def sync(self, cluster: Cluster, files: Collection[TargetFile]) -> list[Registration]:
        """Remove stale registrations and mend damaged ones; returns those. A node that never registered is left alone:
        a target is there only while CMDaemon runs the role, or the agent sees it.

        `files` were read before `cluster` was: a node that registers in between is not taken for one without the role.
        Raises NotWritten, StorageHangs.
        """
        judged = zip(files, self.judged(files, cluster))
        wrong = [(file, one) for file, one in judged if one.state in {STALE, DAMAGED}]
        return within(self.directory, lambda: [one for file, one in wrong if self._mended(file, one)])

    def compacted(self) -> bool:
        """Have the one file hold the groups of all files, those of others too; False when it did, or is not wanted.
        One that is there is kept up also when the site wants it no longer: Prometheus may still read it."""
        if self.stack.site.targets.read != COMPACT and not within(self.directory, self.compact.exists):
            return False
        try:
            files = target_files(self.directory)
        except NoDirectory:
            return False
        groups = [group for file in files for group in file.groups]
        return compact.written(self.compact, compact.text(groups), self.staging)

    def wanted_content(self, file: TargetFile) -> bytes:
        """What a file of ours should hold; its role has to be one that the site enables."""
        return self.stack.target_file(file.host, file.role)[1]

    def _mended(self, file: TargetFile, judged: Registration) -> bool:
        """Cure one file, unless it is another one by now: then its node is at it."""
        if stamp(file.path) != file.stamp:
            return False
        if judged.state == STALE:
            writing.take_away(file.path)
        else:
            writing.put(file.path, self.wanted_content(file), self.staging)
        return True

    def _state(self, file: TargetFile, carriers: Mapping[str, Collection[str]]) -> str:
        other = self.ownership.standing(file)
        if other:
            return other
        if key(file.host) in carriers.get(file.role, ()):
            return OK if file.content == self.wanted_content(file) else DAMAGED
        return STALE if self.ownership.written(file) else FOREIGN


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
