"""The record of all we wrote into one tree, kept inside that tree (design §5).

An entry is made before its file, so a file without an entry is never ours, however a run ended.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Optional

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.unfollowed import cleared, created, opened

LATER = ("packages", "images")
"""What manifests of earlier releases do not have."""
_SHARED = "/cm/shared/"
"""Shared storage, where links are the administrator's; those of an image are meant for its nodes (see trees.Tree)."""


class BadManifest(JobstatsError):
    """A manifest that cannot be read; without it nobody can tell whose the files of a tree are."""


def write_atomically(path: Path, content: bytes, mode: int = 0o644, owner: Optional[tuple[int, int]] = None) -> None:
    """Replace `path` by a complete file or not at all. Nobody else can read it before it has its mode; a leftover of a
    killed run, or a link that somebody put there, is taken away."""
    temporary = path.with_name(f".{path.name}.bcm-jobstats")
    with created(temporary) as file:
        file.write(content)
        file.flush()
        if owner:
            os.fchown(file.fileno(), *owner)
        os.fchmod(file.fileno(), mode)  # after fchown, which takes set-id bits away
        os.fsync(file.fileno())
    temporary.replace(path)


class Manifest:
    """`entries`: path -> {type, sha256, mode, owner}; `lines`: path -> lines added; `directories` made on the way;
    `pushed`: category -> digests of the payload its nodes were last updated with;
    `originals`: address -> what an administrator had there before we took it over;
    `packages`: name -> version of the distribution packages we installed;
    `images`: category -> the record of its built image and its rollout (see record.py), on shared storage only.
    """

    def __init__(self, root: Path, path: str) -> None:
        """`root` is the tree on this machine, `path` the manifest's absolute path inside it. Raises BadManifest."""
        self.root = root
        self.file = root / path.lstrip("/")
        self.entries: dict[str, dict[str, Any]] = {}
        self.lines: dict[str, list[str]] = {}
        self.directories: list[str] = []
        self.pushed: dict[str, dict[str, str]] = {}
        self.originals: dict[str, dict[str, Any]] = {}
        self.packages: dict[str, str] = {}
        self.images: dict[str, dict[str, Any]] = {}
        self._require_inside()
        if os.path.lexists(self.file):
            self._load()

    def save(self) -> None:
        """Write the manifest; when it lists nothing any more, take it and the directories made for it away."""
        if self._empty():
            self._vanish()
        elif self.file.parent.is_dir():
            write_atomically(self.file, self._text())
        else:
            self._appear()

    def make_parents(self, path: Path) -> None:
        """Create the missing directories above `path`; each is recorded first, to be removed when it is empty again."""
        missing = [parent for parent in path.parents if not parent.exists()]
        if missing:
            names = [self.inside(parent) for parent in missing]
            self.directories = sorted({*self.directories, *names})
            self.save()
            path.parent.mkdir(parents=True, exist_ok=True)

    def drop_parents(self) -> None:
        """Remove the directories we made that are empty now."""
        for name in sorted(self.directories, reverse=True):
            directory = self.root / name.lstrip("/")
            there = directory.is_dir() and self._holds(directory)
            if not there or not any(directory.iterdir()):
                if there:
                    directory.rmdir()
                self.directories.remove(name)

    def inside(self, path: Path) -> str:
        """A path on this machine as an absolute path inside the tree."""
        return "/" + str(path.relative_to(self.root))

    def _require_inside(self) -> None:
        """On the head an absolute link of an image leads to the head's own files."""
        if not self._holds(self.file.parent):
            cause = f"a symbolic link on the way leads out of the tree, to {self.file.parent.resolve()}"
            raise BadManifest(str(self.file), cause, "Make it a directory.")

    def _holds(self, directory: Path) -> bool:
        return _inside(self.root, self.inside(self.file), directory)

    def _load(self) -> None:
        try:
            document = json.loads(self._content())
            shapes = {"entries": dict, "lines": dict, "directories": list, "pushed": dict, "originals": dict}
            wrong = [name for name, shape in shapes.items() if not isinstance(document[name], shape)]
            if wrong:
                raise ValueError(f"{wrong[0]} is no {shapes[wrong[0]].__name__}")
            self.entries, self.lines = document["entries"], document["lines"]
            self.directories, self.pushed = document["directories"], document["pushed"]
            self.originals = document["originals"]
            self.packages, self.images = dict(document.get("packages", {})), dict(document.get("images", {}))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadManifest(
                str(self.file), f"cannot be read ({error})", "Restore it from the image's last revision or from backup."
            ) from error

    def _content(self) -> bytes:
        file = opened(self.file)
        if file is None:
            raise ValueError("it is not a file")
        with file:
            return file.read()

    def _text(self) -> bytes:
        document = {
            "about": "Managed by bcm-jobstats: what it wrote into this tree. Do not edit.",
            "entries": self.entries,
            "lines": self.lines,
            "directories": self.directories,
            "pushed": self.pushed,
            "originals": self.originals,
        }
        # Only where there are some: a manifest says nothing of what its tree has none of.
        document.update({name: told for name in LATER if (told := getattr(self, name))})
        return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()

    def _empty(self) -> bool:
        # A directory that is still there although nothing of ours is left holds something of others: it is theirs now.
        return not (self.entries or self.lines or self.pushed or self.originals or self.packages or self.images)

    def _topmost(self) -> Path:
        """The highest directory above the manifest that is not there."""
        missing = [parent for parent in self.file.parents if not parent.exists()]
        if not missing:
            raise NotADirectoryError(errno.ENOTDIR, "is in the way: not a directory", str(self.file.parent))
        return missing[-1]

    def _appear(self) -> None:
        # Directory and manifest become visible in one rename: a killed run leaves either both or neither.
        top = self._topmost()
        building = _building(top)
        cleared(building)
        relative = self.file.relative_to(top)
        made = [top / parent for parent in relative.parents]
        self.directories = sorted({*self.directories, *(self.inside(directory) for directory in made)})
        (building / relative).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(building / relative, self._text())
        building.rename(top)

    def _vanish(self) -> None:
        tops = [self.root / name.lstrip("/") for name in sorted(self.directories)]
        top = next((directory for directory in tops if directory in self.file.parents), None)
        if top is None or _holds_more_than(top, self.file):
            self.file.unlink(missing_ok=True)
            return
        building = _building(top)
        cleared(building)
        top.rename(building)
        shutil.rmtree(building)


def clear_leftovers(root: Path, path: str) -> None:
    """Remove what a killed run left behind of the directory above the manifest `path`."""
    for parent in (root / path.lstrip("/")).parents:
        if root in parent.parents and _inside(root, path, parent.parent):
            with suppress(OSError):
                cleared(_building(parent))


def _building(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.bcm-jobstats")


def _inside(root: Path, manifest: str, directory: Path) -> bool:
    """Whether a directory is in the tree of a manifest, links on the way to it followed."""
    return manifest.startswith(_SHARED) or directory.resolve().is_relative_to(root.resolve())


def _holds_more_than(directory: Path, file: Path) -> bool:
    return any(not entry.is_dir() and entry != file for entry in directory.rglob("*")) or any(
        entry.is_dir() and entry not in file.parents for entry in directory.rglob("*")
    )
