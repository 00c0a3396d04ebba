"""What an administrator had where we took over: kept on shared storage, so that any head can give it back."""

from __future__ import annotations

from collections.abc import Mapping

from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.plan.resource import State


class SharedOriginals:
    """The `originals` of the manifest on shared storage (see plan.apply.Originals)."""

    def __init__(self, shared: Tree) -> None:
        self.shared = shared

    def all(self) -> Mapping[str, State]:
        """address -> state."""
        return self._manifest().originals

    def hold(self, address: str, state: State) -> None:
        """Keep a state; the first one kept for an address stays: it is the administrator's."""
        manifest = self._manifest()
        if manifest.originals.setdefault(address, dict(state)) == state:
            manifest.save()

    def release(self, address: str) -> None:
        """Forget one, if it is held."""
        manifest = self._manifest()
        if manifest.originals.pop(address, None) is not None:
            manifest.save()

    def clear(self) -> None:
        """Forget all: nothing of ours is left that could be given back."""
        for address in list(self.all()):
            self.release(address)

    def _manifest(self) -> Manifest:
        return Manifest(self.shared.root, self.shared.manifest)
