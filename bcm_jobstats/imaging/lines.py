"""Single lines in files of a software image that are not ours: the system user in passwd, group and shadow."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Optional

from bcm_jobstats.imaging.manifest import Manifest, write_atomically
from bcm_jobstats.imaging.trees import MANAGED, InTheWay, OutOfTree, Tree
from bcm_jobstats.imaging.unfollowed import opened
from bcm_jobstats.plan.resource import Found, State


class LineProvider:
    """Resources named `tree:/path:KEY`: the line of that file that begins with `KEY:`. Values: `line`, `managed`."""

    kind = "line"

    def __init__(self, rank: int, rank_down: int, trees: Collection[Tree]) -> None:
        self.rank, self.rank_down = rank, rank_down
        self.trees = {tree.name: tree for tree in trees}

    def read(self, names: Collection[str]) -> Mapping[str, Found]:
        """See Provider."""
        found: dict[str, Found] = {}
        for tree in self.trees.values():
            recorded = Manifest(tree.root, tree.manifest).lines
            ours = {f"{tree.name}:{path}:{key}" for path, keys in recorded.items() for key in keys}
            for name in sorted(ours | {name for name in names if name.startswith(f"{tree.name}:")}):
                line = self._line(name)
                if line is not None:
                    found[name] = Found({"line": line, MANAGED: name in ours}, ours=name in ours)
                elif name in ours and name not in names:
                    found[name] = Found({"line": "", MANAGED: True}, ours=True)
        return found

    def write(self, name: str, before: Optional[State], after: State) -> None:
        """See Provider. The line goes to the end, so that taking it out again leaves the file as it was."""
        tree, path, key = self._split(name)
        manifest = Manifest(tree.root, tree.manifest)
        if after[MANAGED]:
            manifest.lines[path] = sorted({*manifest.lines.get(path, []), key})
            manifest.save()
        _change(_file(tree, path), key, after["line"])
        if not after[MANAGED]:
            self._strike_off(manifest, path, key)

    def leaves(self, name: str, state: State) -> Optional[State]:
        """See Provider."""
        return None

    def remove(self, name: str, before: State) -> Optional[State]:
        """See Provider."""
        tree, path, key = self._split(name)
        _change(_file(tree, path), key, None)
        self._strike_off(Manifest(tree.root, tree.manifest), path, key)
        return None

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        """See Provider."""
        tree, path, key = self._split(name)
        shown = shlex.quote(tree.shown.rstrip("/") + path)
        drop = f"sed -i {shlex.quote(f'/^{key}:/d')} {shown}"
        if after is None:
            return [drop]
        # Run again, it adds nothing; and where the last line has no end, the new one has none either (see _change).
        line = shlex.quote(after["line"])
        ended = f'test -z "$(tail -c1 {shown})"'
        add = f"if {ended}; then printf '%s\\n' {line} >> {shown}; else printf '\\n%s' {line} >> {shown}; fi"
        if before:
            return [drop, add]
        return [f"grep -q '^{key}:' {shown} || {add}"]

    def _strike_off(self, manifest: Manifest, path: str, key: str) -> None:
        keys = [other for other in manifest.lines.pop(path, []) if other != key]
        if keys:
            manifest.lines[path] = keys
        manifest.drop_parents()
        manifest.save()

    def _split(self, name: str) -> tuple[Tree, str, str]:
        tree, path, key = name.split(":", 2)
        return self.trees[tree], path, key

    def _line(self, name: str) -> Optional[str]:
        tree, path, key = self._split(name)
        lines = _lines(_file(tree, path))
        found = next((line for line in lines if line.startswith(f"{key}:".encode())), None)
        return found.rstrip(b"\r\n").decode("utf-8", "surrogateescape") if found is not None else None


def _file(tree: Tree, path: str) -> Path:
    """The file itself: an image may have a symbolic link there, which stays one."""
    file = tree.locate(path)
    return tree.locate("/" + str(file.resolve().relative_to(tree.root.resolve()))) if _inside(file, tree) else file


def _inside(file: Path, tree: Tree) -> bool:
    if not file.is_symlink():
        return False
    if file.resolve().is_relative_to(tree.root.resolve()):
        return True
    raise OutOfTree(
        str(file), f"is a symbolic link out of the tree, to {file.resolve()}", "Make it a file of the tree."
    )


def _lines(file: Path) -> list[bytes]:
    if not file.exists():
        return []
    content = opened(file)
    if content is None:
        raise InTheWay(str(file), "is there and is not a file", "Move it away and run the command again.")
    with content:
        return content.read().splitlines(keepends=True)


def _change(file: Path, key: str, line: Optional[str]) -> None:
    """Replace, add or (None) remove the line of `key`. Where the last line has no newline the new last has none either,
    so that taking it out again gives the same bytes."""
    lines = _lines(file)
    before = b"".join(lines)
    place = next((number for number, old in enumerate(lines) if old.startswith(f"{key}:".encode())), len(lines))
    ended = not lines or lines[-1].endswith(b"\n")
    last = place >= len(lines) - 1
    if line is None:
        del lines[place : place + 1]
        if last and not ended and lines:
            lines[-1] = lines[-1].rstrip(b"\n")
    else:
        if place == len(lines) and not ended:
            lines[-1] += b"\n"
        text = line.encode("utf-8", "surrogateescape")
        lines[place : place + 1] = [text if last and not ended else text + b"\n"]
    if b"".join(lines) != before:
        _replace(file, b"".join(lines))


def _replace(file: Path, content: bytes) -> None:
    status = file.stat() if file.exists() else None
    mode = stat.S_IMODE(status.st_mode) if status else 0o644
    owner = (status.st_uid, status.st_gid) if status and os.geteuid() == 0 else None
    write_atomically(file, content, mode, owner)
