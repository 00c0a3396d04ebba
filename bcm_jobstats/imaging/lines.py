"""Single lines in files of a software image that are not ours: the system user in passwd, group and shadow."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Optional

from bcm_jobstats.imaging.manifest import Manifest, clear_leftovers, write_atomically
from bcm_jobstats.imaging.trees import MANAGED, Tree
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
        clear_leftovers(tree.root, tree.manifest)
        manifest = Manifest(tree.root, tree.manifest)
        if after[MANAGED]:
            manifest.lines[path] = sorted({*manifest.lines.get(path, []), key})
            manifest.save()
        self._change(tree.root / path.lstrip("/"), key, after["line"])
        if not after[MANAGED]:
            self._strike_off(manifest, path, key)

    def remove(self, name: str, before: State) -> Optional[State]:
        """See Provider."""
        tree, path, key = self._split(name)
        self._change(tree.root / path.lstrip("/"), key, None)
        self._strike_off(Manifest(tree.root, tree.manifest), path, key)
        return None

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        """See Provider."""
        tree, path, key = self._split(name)
        shown = shlex.quote(tree.shown.rstrip("/") + path)
        if after is None:
            return [f"sed -i {shlex.quote(f'/^{key}:/d')} {shown}"]
        return [f"printf '%s\\n' {shlex.quote(after['line'])} >> {shown}"]

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
        file = tree.root / path.lstrip("/")
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return next((line for line in lines if line.startswith(f"{key}:")), None)

    def _change(self, file: Path, key: str, line: Optional[str]) -> None:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        lines = text.splitlines(keepends=True)
        places = [number for number, old in enumerate(lines) if old.startswith(f"{key}:")]
        new = [f"{line}\n"] if line is not None else []
        if places:
            lines[places[0] : places[0] + 1] = new
        else:
            lines += new
        if "".join(lines) != text:
            status = file.stat() if file.exists() else None
            mode = stat.S_IMODE(status.st_mode) if status else 0o644
            owner = (status.st_uid, status.st_gid) if status and os.geteuid() == 0 else None
            write_atomically(file, "".join(lines).encode(), mode, owner)
