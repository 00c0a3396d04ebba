"""Registrations as resources of the plan: what nothing wants any more goes, and nodes make them by themselves."""

from __future__ import annotations

import shlex
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Optional

from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.trees import Tree, TreeProvider
from bcm_jobstats.monitoring import compact
from bcm_jobstats.monitoring.registry import files_if_any
from bcm_jobstats.monitoring.targets import SHARED_LISTS, Targets
from bcm_jobstats.plan.resource import Found, State
from bcm_jobstats.site.noderange import fold
from bcm_jobstats.stack.targets import STAGING

WITHDRAWAL = 30.0
"""Seconds that nodes are given to withdraw by themselves before their target is taken away for them."""
ONE_FILE = "(compact)"
"""The name of the resource that is the one file of all registrations; no role has parentheses in its name. It goes
with the last role only: with another targets.read Prometheus reads it until its configuration is changed, too."""
LISTS = "(shared lists)"
"""The name of what agents told each other beside the targets (node.sharing)."""


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
        found = {role: Found({"nodes": fold(some)}, ours=True) for role, some in nodes.items()}
        if not self.wanted and self.targets.compact.exists():
            found[ONE_FILE] = Found({"file": self.targets.compact.name}, ours=True)
        if not (self.wanted and self.targets.stack.monitored) and self._files(LISTS):
            found[LISTS] = Found({"folder": self.targets.staging.name}, ours=True)
        return found

    def write(self, name: str, before: Optional[State], after: State) -> None:
        """See Provider. Nothing to do: the nodes register themselves."""

    def leaves(self, name: str, state: State) -> Optional[State]:
        """See Provider."""
        return None

    def remove(self, name: str, before: State) -> Optional[State]:
        """See Provider. What nodes do not withdraw within WITHDRAWAL seconds (they are down) is taken away."""
        deadline = time.monotonic() + WITHDRAWAL
        while name != ONE_FILE and self._withdrawing(name) and time.monotonic() < deadline:
            time.sleep(0.1)
        for path in self._files(name):
            path.unlink(missing_ok=True)
        return None

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        """See Provider."""
        return [f"rm -f {shlex.quote(str(path))}" for path in self._files(name)] if after is None else []

    def _withdrawing(self, name: str) -> bool:
        """Whether nodes are still to withdraw. Agents share lists for as long as they run, so any of them counts."""
        if name == LISTS:
            return any(role not in self.wanted for _, role in self.targets.registered())
        return bool(self._files(name))

    def _files(self, role: str) -> list[Path]:
        if role == ONE_FILE:
            return [self.targets.compact]
        if role == LISTS:
            return sorted(self.targets.staging.glob(f"{SHARED_LISTS}*"))
        return [file.path for file in self.targets.written() if file.role == role]


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
        there, written = self.shared.locate(directory), self.current.ownership.written
        files = [file.path for file in files_if_any(there) if written(file)]
        one_file = self.shared.locate(compact.beside(directory, self.current.stack.site.cluster))
        return files + ([one_file] if one_file.exists() else [])


class FolderProvider(TreeProvider):
    """Folders on shared storage. That of unfinished files stays while a folder beside it holds target files: another
    cluster's nodes cannot write theirs without it."""

    def removable(self, folder: Path) -> bool:
        """See TreeProvider."""
        beside = folder.parent.iterdir() if folder.name == STAGING else ()
        in_use = any(other.is_dir() and any(other.glob("*.json")) for other in beside if other != folder)
        return super().removable(folder) and not in_use
