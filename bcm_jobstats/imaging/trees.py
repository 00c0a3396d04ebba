"""Files, symbolic links and directories of software images and of shared storage, as resources."""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Optional

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import heredoc
from bcm_jobstats.imaging.manifest import Manifest, write_atomically
from bcm_jobstats.imaging.unfollowed import opened
from bcm_jobstats.plan.resource import Found, State

MANAGED = "managed"
"""The field that is the mark of ours."""
DEFAULT_MANIFEST = "/etc/bcm-jobstats/manifest.json"


class OutOfTree(JobstatsError):
    """A path that would be written outside its tree."""


class InTheWay(JobstatsError):
    """Something of another type stands where ours should be, and is not ours to remove."""


@dataclass(frozen=True)
class Tree:
    """A directory tree that we write into; `shown` is its root as an administrator knows it.

    `confined`: a link that leads out of the tree is refused, because in an image it would lead into the head itself.
    """

    name: str
    root: Path
    shown: str
    manifest: str = DEFAULT_MANIFEST
    confined: bool = True

    @property
    def record(self) -> Path:
        """The manifest on this machine."""
        return self.root / self.manifest.lstrip("/")

    def locate(self, path: str) -> Path:
        """An absolute path inside the tree as a path on this machine; OutOfTree when a symlink on the way leads out."""
        found = self.root / path.lstrip("/")
        if self.confined and not found.parent.resolve().is_relative_to(self.root.resolve()):
            raise OutOfTree(
                f"{self.shown}{path}",
                f"a symbolic link on the way leads out of the tree, to {found.parent.resolve()}",
                "Make the link relative, or a directory.",
            )
        return found


class TreeProvider:
    """Resources named `tree:/absolute/path`, with `type` file, symlink or directory, `content` or `target`, `mode`,
    `owner` and `managed`.

    `owner` is a numeric `uid:gid`; it is applied and compared only by root. `managed` is whether it is in the manifest.
    Something of the `type` other (a pipe, a socket, a device) is not read, and never ours to replace or remove.
    """

    def __init__(
        self,
        kind: str,
        rank: int,
        rank_down: int,
        trees: Collection[Tree],
        types: Collection[str] = ("file", "symlink", "directory"),
    ) -> None:
        """`types`: which entries of a manifest are of this kind, where two kinds share one."""
        self.kind, self.rank, self.rank_down = kind, rank, rank_down
        self.trees = {tree.name: tree for tree in trees}
        self.types = types

    def read(self, names: Collection[str]) -> Mapping[str, Found]:
        """See Provider."""
        found: dict[str, Found] = {}
        for tree in self.trees.values():
            entries = Manifest(tree.root, tree.manifest).entries
            recorded = {path: entry for path, entry in entries.items() if entry["type"] in self.types}
            wanted = {name.partition(":")[2] for name in names if name.startswith(f"{tree.name}:")}
            for path in sorted(wanted | set(recorded)):
                values = _look(tree.locate(path), recorded.get(path))
                if values is not None:
                    found[f"{tree.name}:{path}"] = Found({**values, MANAGED: path in recorded}, ours=path in recorded)
                elif path in recorded and path not in wanted:
                    # Recorded and gone: still to be struck off the manifest.
                    found[f"{tree.name}:{path}"] = Found({"type": "missing", MANAGED: True}, ours=True)
        return found

    def write(self, name: str, before: Optional[State], after: State) -> None:
        """See Provider."""
        tree, path = self._split(name)
        target = tree.locate(path)
        _refuse_obstacles(target, after)
        manifest = Manifest(tree.root, tree.manifest)
        if after[MANAGED]:
            manifest.entries[path] = _entry(after)
            manifest.save()
        manifest.make_parents(target)
        _put(target, after)
        if not after[MANAGED]:
            self._strike_off(manifest, path)

    def leaves(self, name: str, state: State) -> Optional[State]:
        """See Provider."""
        return None

    def remove(self, name: str, before: State) -> Optional[State]:
        """See Provider. A directory that holds something of others stays, and so does what never was of ours."""
        tree, path = self._split(name)
        target = tree.locate(path)
        target.with_name(f".{target.name}.bcm-jobstats").unlink(missing_ok=True)
        if before["type"] == "directory":
            if target.is_dir() and not target.is_symlink() and self.removable(target):
                target.rmdir()
        elif target.is_symlink() or target.is_file():
            target.unlink()
        self._strike_off(Manifest(tree.root, tree.manifest), path)
        kept = _look(target, None)
        return {**kept, MANAGED: False} if kept else None

    def removable(self, folder: Path) -> bool:
        """Whether nobody needs a folder of ours that nothing wants any more."""
        return not any(folder.iterdir())

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        """See Provider."""
        tree, path = self._split(name)
        shown = shlex.quote(tree.shown.rstrip("/") + path)
        if after is None:
            return [f"rm -d {shown}"]
        mode = shlex.quote(after["mode"])
        owner = "-o {} -g {}".format(*_owner(after))
        if after["type"] == "directory":
            return [f"install -d {owner} -m {mode} {shown}"]
        if after["type"] == "symlink":
            parent = shlex.quote(str(PurePosixPath(tree.shown.rstrip("/") + path).parent))
            return [f"mkdir -p {parent}", f"ln -sfT {shlex.quote(after['target'])} {shown}"]
        content = after["content"].encode("utf-8", "surrogateescape")
        return [heredoc.fed(f"install -D {owner} -m {mode} /dev/stdin {shown}", content)]

    def _strike_off(self, manifest: Manifest, path: str) -> None:
        manifest.entries.pop(path, None)
        manifest.drop_parents()
        manifest.save()

    def _split(self, name: str) -> tuple[Tree, str]:
        tree, _, path = name.partition(":")
        return self.trees[tree], path


def file_state(content: bytes, mode: int, owner: str = "0:0") -> dict[str, Any]:
    """The wanted state of a file; `owner` is `uid:gid`."""
    text = content.decode("utf-8", "surrogateescape")
    return {"type": "file", "content": text, "mode": f"{mode:04o}", "owner": owner, MANAGED: True}


def link_state(target: str, owner: str = "0:0") -> dict[str, Any]:
    """The wanted state of a symbolic link; a link has no mode of its own."""
    return {"type": "symlink", "target": target, "mode": "0777", "owner": owner, MANAGED: True}


def directory_state(mode: int, owner: str = "0:0") -> dict[str, Any]:
    """The wanted state of a directory."""
    return {"type": "directory", "mode": f"{mode:04o}", "owner": owner, MANAGED: True}


def _look(path: Path, recorded: Optional[Mapping[str, Any]]) -> Optional[dict[str, Any]]:
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    mode = f"{stat.S_IMODE(status.st_mode):04o}"
    owner = f"{status.st_uid}:{status.st_gid}" if os.geteuid() == 0 or not recorded else recorded["owner"]
    if stat.S_ISLNK(status.st_mode):
        return {"type": "symlink", "target": str(path.readlink()), "mode": mode, "owner": owner}
    if stat.S_ISDIR(status.st_mode):
        return {"type": "directory", "mode": mode, "owner": owner}
    file = opened(path)
    if file is None:
        return {"type": "other", "mode": mode, "owner": owner}
    with file:
        content = file.read().decode("utf-8", "surrogateescape")
    return {"type": "file", "content": content, "mode": mode, "owner": owner}


def _refuse_obstacles(target: Path, after: State) -> None:
    blocked = next((parent for parent in target.parents if parent.exists() and not parent.is_dir()), None)
    if blocked:
        raise InTheWay(str(blocked), "is there and is not a directory", "Move it away and run the command again.")
    if after["type"] == "directory":
        wanted = target.is_dir() and not target.is_symlink()  # whose mode would be set is where the link leads to
    else:
        wanted = target.is_file() or target.is_symlink()
    if os.path.lexists(target) and not wanted:
        raise InTheWay(str(target), f"is there and is not a {after['type']}", "Move it away and run the command again.")


def _put(target: Path, state: State) -> None:
    if state["type"] == "symlink":
        temporary = target.with_name(f".{target.name}.bcm-jobstats")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(state["target"])
        if os.geteuid() == 0:
            os.chown(temporary, *_owner(state), follow_symlinks=False)
        temporary.replace(target)
    elif state["type"] == "directory":
        target.mkdir(exist_ok=True)
        target.chmod(int(state["mode"], 8))
        if os.geteuid() == 0:
            os.chown(target, *_owner(state))
    else:
        content = state["content"].encode("utf-8", "surrogateescape")
        write_atomically(target, content, int(state["mode"], 8), _owner(state) if os.geteuid() == 0 else None)


def _entry(after: State) -> dict[str, Any]:
    entry = {key: after[key] for key in ("type", "mode", "owner")}
    if after["type"] == "symlink":
        entry["target"] = after["target"]
    elif after["type"] == "file":
        entry["sha256"] = hashlib.sha256(after["content"].encode("utf-8", "surrogateescape")).hexdigest()
    return entry


def _owner(state: State) -> tuple[int, int]:
    uid, _, gid = state["owner"].partition(":")
    return int(uid), int(gid)
