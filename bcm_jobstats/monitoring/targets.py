"""Target files on shared storage: nodes register there by themselves, the head node reconciles (design §3, §7)."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from bcm_jobstats.bcm.entities import CATEGORY, IGNORED_PRIORITY, OVERLAY, Cluster, Place
from bcm_jobstats.imaging.manifest import Manifest, write_atomically
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.plan.resource import Found, State
from bcm_jobstats.site.noderange import fold
from bcm_jobstats.stack import Stack

LABELS = {"job", "cluster", "hostname"}
WITHDRAWAL = 30.0
"""Seconds that nodes are given to withdraw by themselves before their target is taken away for them."""


@dataclass(frozen=True)
class Registration:
    """One node's target file for one role; `state` is ok, damaged, or stale (the node has no such role)."""

    node: str
    role: str
    path: Path
    state: str


def registrations(directory: Path, nodes: Collection[str]) -> dict[tuple[str, str], Path]:
    """(node, role) -> file. A file is one when its name begins with a node of BCM, or its content is as ours is: an
    administrator may keep target files of his own there."""
    found = {}
    for path in sorted(directory.glob("*.json")) if directory.is_dir() else ():
        host, _, role = path.stem.partition("+")
        if host in nodes or _has_our_shape(path, host):
            found[host, role or "jobstats"] = path
    return found


def _has_our_shape(path: Path, host: str) -> bool:
    try:
        groups = json.loads(path.read_bytes())
        labels = [group["labels"] for group in groups]
        return bool(labels) and all(set(one) == LABELS and one["hostname"] == host for one in labels)
    except (OSError, ValueError, KeyError, TypeError):
        return False


@dataclass(frozen=True)
class Targets:
    """The targets directory of a site; `directory` is its path on this machine, `nodes` those of BCM."""

    stack: Stack
    directory: Path
    nodes: Collection[str]

    def registered(self) -> dict[tuple[str, str], Path]:
        """(node, role) -> file."""
        return registrations(self.directory, self.nodes)

    def listed(self, cluster: Cluster) -> list[Registration]:
        """Every registration and whether it is as BCM says it should be."""
        carriers = {role.name: carriers_of(cluster, role.generic, role.target_service) for role in self.stack.roles()}
        return [
            Registration(node, role, path, self._state(node, role, path, carriers.get(role, set())))
            for (node, role), path in self.registered().items()
        ]

    def sync(self, cluster: Cluster) -> list[Registration]:
        """Remove stale registrations and mend damaged ones; returns those. A node that never registered is left alone:
        a target is there only while CMDaemon runs the role."""
        wrong = [registration for registration in self.listed(cluster) if registration.state != "ok"]
        for registration in wrong:
            if registration.state == "stale":
                registration.path.unlink(missing_ok=True)
            else:
                _, content = self.stack.target_file(registration.node, registration.role)
                self._replace(registration.path, content)
        return wrong

    def _state(self, node: str, role: str, path: Path, carriers: Collection[str]) -> str:
        if node not in carriers:
            return "stale"
        return "ok" if path.read_bytes() == self.stack.target_file(node, role)[1] else "damaged"

    def _replace(self, path: Path, content: bytes) -> None:
        # Prometheus' glob reads every file of the directory: the unfinished one lies in the folder beside it.
        staging = self.directory.parent / Path(self.stack.shared_folders()[1]).name / path.name
        write_atomically(staging, content)
        staging.replace(path)


def carriers_of(cluster: Cluster, role: str, service: str) -> set[str]:
    """The nodes that have a generic role, or a service by itself, wherever from; ignored overlays do not count."""
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


class TargetsProvider:
    """Registrations of roles that are no longer wanted, named by role: their removal waits for the nodes to withdraw.

    What is registered for a wanted role is not a matter of plans: the nodes do that themselves.
    """

    kind = "targets"

    def __init__(self, rank: int, rank_down: int, targets: Targets, wanted: Collection[str]) -> None:
        self.rank, self.rank_down = rank, rank_down
        self.targets = targets
        self.wanted = set(wanted)

    def read(self, names: Collection[str]) -> Mapping[str, Found]:
        """See Provider."""
        nodes: dict[str, list[str]] = {}
        for node, role in self.targets.registered():
            if role not in self.wanted:
                nodes.setdefault(role, []).append(node)
        return {role: Found({"nodes": fold(some)}, ours=True) for role, some in nodes.items()}

    def write(self, name: str, before: Optional[State], after: State) -> None:
        """See Provider. Nothing to do: the nodes register themselves."""

    def leaves(self, name: str, state: State) -> Optional[State]:
        """See Provider."""
        return None

    def remove(self, name: str, before: State) -> Optional[State]:
        """See Provider. What nodes do not withdraw within WITHDRAWAL seconds (they are down) is taken away."""
        deadline = time.monotonic() + WITHDRAWAL
        while self._files(name) and time.monotonic() < deadline:
            time.sleep(0.1)
        for path in self._files(name):
            path.unlink(missing_ok=True)
        return None

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        """See Provider."""
        return [f"rm -f {shlex.quote(str(path))}" for path in self._files(name)] if after is None else []

    def _files(self, role: str) -> list[Path]:
        return [path for (_, other), path in self.targets.registered().items() if other == role]


class FormerTargetsProvider:
    """Registrations in directories that the site no longer uses, named by directory: running nodes have registered in
    the new one by then, and their old files go."""

    kind = "former-targets"

    def __init__(self, rank: int, rank_down: int, shared: Tree, current: Targets) -> None:
        self.rank, self.rank_down = rank, rank_down
        self.shared = shared
        self.current = current

    def read(self, names: Collection[str]) -> Mapping[str, Found]:
        """See Provider."""
        used = set(self.current.stack.shared_folders())
        recorded = Manifest(self.shared.root, self.shared.manifest).entries
        counts = {path: len(self._files(path)) for path in recorded if path not in used}
        return {path: Found({"files": count}, ours=True) for path, count in counts.items() if count}

    def write(self, name: str, before: Optional[State], after: State) -> None:
        """See Provider. Nothing is put back there."""

    def leaves(self, name: str, state: State) -> Optional[State]:
        """See Provider."""
        return None

    def remove(self, name: str, before: State) -> Optional[State]:
        """See Provider."""
        for path in self._files(name):
            path.unlink(missing_ok=True)
        return None

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        """See Provider."""
        return [f"rm -f {shlex.quote(str(path))}" for path in self._files(name)] if after is None else []

    def _files(self, directory: str) -> list[Path]:
        return list(registrations(self.shared.locate(directory), self.current.nodes).values())
