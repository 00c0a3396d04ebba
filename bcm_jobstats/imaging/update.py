"""Running nodes brought to their image (imageupdate), as a resource: which payload a category's nodes last got."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Optional

from bcm_jobstats.bcm.cmsh import scripts
from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.plan.resource import Found, State

PAYLOAD = "payload"


class UpdateProvider:
    """Resources named by category. Values are digests: `payload` of all files that their image holds for us, and for
    each service of the files it runs with; a service whose digest changes is restarted.

    The record is on shared storage and is written after the nodes were updated, so that a run that is killed between
    the image and its nodes is completed by the next. `holding`: images by category; nodes of one that holds something
    of ours have it too, whatever the record says: they got it at a boot, or by a rollout that did not reach its end.
    """

    kind = "imageupdate"

    def __init__(
        self,
        rank: int,
        rank_down: int,
        bcm: Bcm,
        cluster: Cluster,
        shared: Tree,
        *,
        holding: Optional[Mapping[str, Collection[Tree]]] = None,
    ) -> None:
        self.rank, self.rank_down = rank, rank_down
        self.bcm = bcm
        self.running = {node.category for node in cluster.nodes.values() if node.is_up}
        self.shared = shared
        self.holding = holding or {}

    def read(self, names: Collection[str]) -> Mapping[str, Found]:
        """See Provider."""
        pushed = Manifest(self.shared.root, self.shared.manifest).pushed
        found = {category: Found(digests, ours=True) for category, digests in pushed.items()}
        for category, trees in self.holding.items():
            if category not in found and any(Manifest(tree.root, tree.manifest).entries for tree in trees):
                found[category] = Found({PAYLOAD: "unknown"}, ours=True)
        return found

    def write(self, name: str, before: Optional[State], after: State) -> None:
        """See Provider."""
        self._update(name)
        changed = _changed_services(before, after)
        if changed and name in self.running:
            self.bcm.restart_services(name, changed)
        self._record(name, after)

    def leaves(self, name: str, state: State) -> Optional[State]:
        """See Provider."""
        return None

    def remove(self, name: str, before: State) -> Optional[State]:
        """See Provider."""
        self._update(name)
        self._record(name, None)
        return None

    def _update(self, category: str) -> None:
        # Nodes that are down get their image when they boot; with none up there is nothing that could complete.
        if category in self.running:
            self.bcm.update_nodes(category)

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        """See Provider."""
        changed = _changed_services(before, after or {})
        restart = scripts.restart_services(name, changed) if changed else []
        return ["cmsh -c '" + "; ".join([*scripts.update_nodes(name), *restart]) + "'"]

    def _record(self, category: str, digests: Optional[State]) -> None:
        manifest = Manifest(self.shared.root, self.shared.manifest)
        if digests is None:
            manifest.pushed.pop(category, None)
        else:
            manifest.pushed[category] = dict(digests)
        manifest.save()


def _changed_services(before: Optional[State], after: State) -> list[str]:
    """Services that run with other files than before; one that is new is started by its role."""
    return [
        name for name in sorted(after) if name != PAYLOAD and before and before.get(name, after[name]) != after[name]
    ]
