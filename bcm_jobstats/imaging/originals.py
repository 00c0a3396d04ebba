"""What an administrator had where we took over: kept on shared storage, so that any head can give it back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.store import NotKept, digest, read
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.imaging.unfollowed import created
from bcm_jobstats.plan.resource import State


class SharedOriginals:
    """The `originals` of the manifest on shared storage (see plan.apply.Originals); beside it, in a folder that only
    root can read, the programs among them, each by its sum."""

    def __init__(self, shared: Tree) -> None:
        self.shared = shared
        self.shown = str(PurePosixPath(shared.manifest).parent / "originals")
        self.folder = shared.root / self.shown.lstrip("/")

    def all(self) -> Mapping[str, State]:
        """address -> state."""
        return self._manifest().originals

    def hold(self, address: str, state: State) -> None:
        """Keep a state; the first one kept for an address stays: it is the administrator's."""
        manifest = self._manifest()
        if manifest.originals.setdefault(address, dict(state)) == state:
            manifest.save()

    def keep(self, program: Path) -> None:
        """Keep the bytes of a program whose state is held, durably, and for as long as a state with its sum is."""
        part = self.folder / ".part"
        self._manifest().make_parents(part)
        self.folder.chmod(0o700)
        told = hashlib.sha256()
        try:
            with created(part) as copy:
                for chunk in read(program):
                    told.update(chunk)
                    copy.write(chunk)
                copy.flush()
                os.fsync(copy.fileno())
            part.replace(self.folder / told.hexdigest())
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def require(self, sha256: str, subject: str) -> Path:
        """A program that is kept, by its sum; raises NotKept."""
        path = self.folder / sha256
        if not path.is_file() or digest(path) != sha256:
            state = "is damaged" if path.exists() else "is not there"
            raise NotKept(subject, f"its file {path} {state}", "Put it back from backup.")
        return path

    def release(self, address: str) -> None:
        """Forget one, if it is held."""
        manifest = self._manifest()
        if manifest.originals.pop(address, None) is not None:
            self._sweep(manifest)
            manifest.save()

    def clear(self) -> None:
        """Forget all: nothing of ours is left that could be given back."""
        for address in list(self.all()):
            self.release(address)

    def _sweep(self, manifest: Manifest) -> None:
        """Before the state is forgotten: a run that is killed in between leaves nothing that nobody knows of."""
        if self.folder.is_dir():
            held = {state.get("sha256") for state in manifest.originals.values()}
            for path in self.folder.iterdir():
                if path.name not in held:
                    path.unlink()
            manifest.drop_parents()

    def _manifest(self) -> Manifest:
        return Manifest(self.shared.root, self.shared.manifest)
