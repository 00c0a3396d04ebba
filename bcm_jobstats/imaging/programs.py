"""Programs of software images as resources: told by their sha256, their bytes in the store."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

from bcm_jobstats.imaging import elf
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.originals import SharedOriginals
from bcm_jobstats.imaging.sources import Resolved, Sources
from bcm_jobstats.imaging.store import FOLDER, Store, pieces, read, summed
from bcm_jobstats.imaging.trees import MANAGED, InTheWay, Tree
from bcm_jobstats.imaging.unfollowed import created, opened
from bcm_jobstats.plan.resource import Found, Resource, State
from bcm_jobstats.stack.files import Program

PROGRAM = "program"
"""The type of a manifest's entries that are ours; those of files have other types (see trees.py)."""
PACKAGE = "package"


class ProgramProvider:
    """Resources named `tree:/absolute/path`, with `sha256`, `mode`, `owner`, `version` and `managed`.

    What an administrator had there before is told by its `sha256`, with its bytes in `originals`, or as a symbolic link
    by its `target`. `version` is told of files that came through the store.
    """

    kind = "artifact"

    def __init__(
        self, rank: int, rank_down: int, trees: Collection[Tree], store: Store, originals: SharedOriginals
    ) -> None:
        self.rank, self.rank_down = rank, rank_down
        self.trees = {tree.name: tree for tree in trees}
        self.store, self.originals = store, originals

    def read(self, names: Collection[str]) -> Mapping[str, Found]:
        """See Provider."""
        found: dict[str, Found] = {}
        for tree in self.trees.values():
            entries = Manifest(tree.root, tree.manifest).entries
            recorded = {path: entry for path, entry in entries.items() if entry["type"] == PROGRAM}
            wanted = {name.partition(":")[2] for name in names if name.startswith(f"{tree.name}:")}
            for path in sorted(wanted | set(recorded)):
                values = self._look(tree.locate(path), recorded.get(path))
                if values is not None:
                    found[f"{tree.name}:{path}"] = Found({**values, MANAGED: path in recorded}, ours=path in recorded)
                elif path in recorded and path not in wanted:
                    # Recorded and gone: still to be struck off the manifest.
                    found[f"{tree.name}:{path}"] = Found({"sha256": "", MANAGED: True}, ours=True)
        return found

    def write(self, name: str, before: Optional[State], after: State) -> None:
        """See Provider. NotKept when the bytes are no longer where they were kept."""
        tree, path = self._split(name)
        target = tree.locate(path)
        _refuse_obstacles(target)
        kept = self.store if after[MANAGED] else self.originals
        source = None if "target" in after else kept.require(after["sha256"], f"{self.kind}.{name}")
        manifest = Manifest(tree.root, tree.manifest)
        if path not in manifest.entries and target.is_file() and not target.is_symlink():
            self.originals.keep(target)  # the administrator's, before anything changes
        if after[MANAGED]:
            manifest.entries[path] = {"type": PROGRAM, **{key: after[key] for key in _RECORDED if key in after}}
            manifest.save()
        manifest.make_parents(target)
        _put(target, source, after)
        if not after[MANAGED]:
            _strike_off(manifest, path)

    def leaves(self, name: str, state: State) -> Optional[State]:
        """See Provider."""
        return None

    def remove(self, name: str, before: State) -> Optional[State]:
        """See Provider. What is neither a file nor a link, never was of ours and stays."""
        tree, path = self._split(name)
        target = tree.locate(path)
        _temporary(target).unlink(missing_ok=True)
        if target.is_file() or target.is_symlink():
            target.unlink()
        _strike_off(Manifest(tree.root, tree.manifest), path)
        kept = self._look(target, None)
        return {**kept, MANAGED: False} if kept else None

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        """See Provider."""
        tree, path = self._split(name)
        shown = shlex.quote(tree.shown.rstrip("/") + path)
        if after is None:
            return [f"rm {shown}"]
        if "target" in after:
            return [f"ln -sfT {shlex.quote(after['target'])} {shown}"]
        uid, _, gid = after["owner"].partition(":")
        return [f"install -D -o {uid} -g {gid} -m {after['mode']} {self.place(after)} {shown}"]

    def place(self, state: State) -> str:
        """Where the bytes of a program are kept, as an administrator knows it."""
        folder = f"/{FOLDER}" if state[MANAGED] else self.originals.shown
        return f"{folder}/{state['sha256']}"

    def _look(self, path: Path, recorded: Optional[Mapping[str, Any]]) -> Optional[dict[str, Any]]:
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        owner = f"{status.st_uid}:{status.st_gid}" if os.geteuid() == 0 or not recorded else recorded["owner"]
        if stat.S_ISLNK(status.st_mode):
            return {"target": str(path.readlink()), "mode": mode, "owner": owner}
        file = opened(path)
        if file is None:
            return {"sha256": "", "mode": mode, "owner": owner}
        with file:
            sha256 = summed(pieces(file))
        known = self.store.known(f"version {sha256}")
        version = recorded.get("version") if recorded and recorded.get("sha256") == sha256 else known
        told = {"sha256": sha256, "mode": mode, "owner": owner}
        return {**told, "version": version} if version else told

    def _split(self, name: str) -> tuple[Tree, str]:
        tree, _, path = name.partition(":")
        return self.trees[tree], path


_RECORDED = ("sha256", "target", "mode", "owner", "version")


def desired(tree: Tree, programs: Collection[Program], sources: Sources, architecture: str) -> Iterator[Resource]:
    """The artifacts that an image is to hold, as resources of kind `artifact` and `package`.

    `architecture` is that of the image (see elf.of_tree). Raises what Sources.resolve does, and WrongArchitecture.
    """
    for program in programs:
        resolved = sources.resolve(program.name, program.artifact, architecture)
        package = program.artifact.supplies[architecture].package
        if package:
            values = {"version": program.artifact.version, MANAGED: True}
            yield Resource(PACKAGE, f"{tree.name}:{package}", values, mark=MANAGED, whole=True)
        elif resolved:
            elf.require(resolved.path, architecture, f"artifact {program.name} for software image {tree.name}")
            values = program_state(resolved, program.mode)
            yield Resource(ProgramProvider.kind, f"{tree.name}:{program.path}", values, mark=MANAGED, whole=True)


def program_state(resolved: Resolved, mode: int, owner: str = "0:0") -> dict[str, Any]:
    """The wanted state of a program; `owner` is `uid:gid`."""
    own = {"mode": f"{mode:04o}", "owner": owner, MANAGED: True}
    return {"sha256": resolved.sha256, "version": resolved.version, **own}


def _refuse_obstacles(target: Path) -> None:
    blocked = next((parent for parent in target.parents if parent.exists() and not parent.is_dir()), None)
    if blocked:
        raise InTheWay(str(blocked), "is there and is not a directory", "Move it away and run the command again.")
    if not target.is_symlink() and target.exists() and not target.is_file():
        raise InTheWay(str(target), "is there and is not a file", "Move it away and run the command again.")


def _put(target: Path, source: Optional[Path], state: State) -> None:
    temporary = _temporary(target)
    uid, _, gid = state["owner"].partition(":")
    try:
        if source is None:
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(state["target"])
            if os.geteuid() == 0:
                os.chown(temporary, int(uid), int(gid), follow_symlinks=False)
        else:
            with created(temporary) as file:
                for chunk in read(source):
                    file.write(chunk)
                file.flush()
                if os.geteuid() == 0:
                    os.fchown(file.fileno(), int(uid), int(gid))
                os.fchmod(file.fileno(), int(state["mode"], 8))  # after fchown, which takes set-id bits away
                os.fsync(file.fileno())
        temporary.replace(target)
    except OSError:
        temporary.unlink(missing_ok=True)  # on a full disk the half program is in the way of all else
        raise


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.bcm-jobstats")


def _strike_off(manifest: Manifest, path: str) -> None:
    manifest.entries.pop(path, None)
    manifest.drop_parents()
    manifest.save()
