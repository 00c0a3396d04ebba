"""What in an image or on nodes is not as the manifest says that we wrote it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Optional

from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.imaging import seen
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.seen import Seen, Sight
from bcm_jobstats.imaging.store import digest
from bcm_jobstats.imaging.trees import Tree

WORLD_WRITABLE = 0o002
AN = {"file": "a file", "symlink": "a symbolic link", "directory": "a directory"}


@dataclass(frozen=True)
class Difference:
    """One path, and what about it is not as it was written: one of the words of `_compared`, and more for people."""

    path: str
    what: str


def of_tree(tree: Tree) -> list[Difference]:
    """What in an image is not as its manifest says. Nothing of ours in it: nothing differs. Raises BadManifest.

    Packages are compared where they can be told without running anything in the image, or by root.
    """
    manifest = Manifest(tree.root, tree.manifest)
    return sorted(_compared(expected(manifest), seen.in_tree(tree, manifest)), key=lambda one: (one.path, one.what))


def of_nodes(bcm: Bcm, nodes: Collection[str], manifest: Manifest) -> Mapping[str, Optional[list[Difference]]]:
    """node -> what there is not as `manifest`, the one of an image, says; None: the node did not answer. One call of
    BCM, however many nodes. The manifest itself and the lines of the user are compared with those of the image."""
    wanted = expected(manifest, of_node=True)
    asked = [path for path in wanted.paths if seen.can_be_asked(path)]
    told = bcm.execute(nodes, seen.command(asked, wanted.lines, manifest.packages)) if nodes else {}
    found: dict[str, Optional[list[Difference]]] = {}
    for node in nodes:
        sight = seen.told(told[node], wanted.lines, manifest.packages) if node in told else None
        found[node] = None if sight is None else sorted(_compared(wanted, sight), key=lambda one: (one.path, one.what))
    return found


def expected(manifest: Manifest, *, of_node: bool = False) -> Sight:
    """What a manifest says should be there. `of_node`: a copy of the image, which has its manifest and its lines."""
    paths = {
        path: Seen(
            "file" if entry["type"] == "program" else entry["type"],
            int(entry["mode"], 8),
            entry["owner"],
            entry.get("sha256", ""),
            entry.get("target", ""),
        )
        for path, entry in manifest.entries.items()
    }
    # Their mode is what the umask of that day made of it.
    paths.update({path: Seen("directory", None, "") for path in manifest.directories if path not in paths})
    if of_node and manifest.file.is_file():
        status = manifest.file.stat()
        owner = f"{status.st_uid}:{status.st_gid}"
        paths[manifest.inside(manifest.file)] = Seen("file", status.st_mode & 0o7777, owner, digest(manifest.file))
    lines: dict[tuple[str, str], Optional[str]] = {
        (path, key): seen.line(manifest.root / path.lstrip("/"), key) if of_node else None
        for path, keys in manifest.lines.items()
        for key in keys
    }
    return Sight(paths, lines, dict(manifest.packages))


def _compared(wanted: Sight, there: Sight) -> Iterator[Difference]:
    for path, state in wanted.paths.items():
        found = there.paths.get(path)
        if found is None:
            yield Difference(path, "missing" if seen.can_be_asked(path) else "cannot be asked about: its name")
        else:
            yield from (Difference(path, what) for what in _differing(state, found, owners=there.owners))
    for (path, key), line in wanted.lines.items():
        now = there.lines.get((path, key))
        if now is None:
            yield Difference(path, f"line of {key} missing")
        elif line is not None and now != line:
            yield Difference(path, f"line of {key} differs")
    installed = there.packages
    for name, version in (wanted.packages or {}).items() if installed is not None else ():
        now = (installed or {}).get(name)
        if now != version:
            yield Difference(name, f"package {now or 'missing'}, not {version}")


def _differing(wanted: Seen, found: Seen, *, owners: bool) -> Iterator[str]:
    if found.out:
        yield f"a symbolic link on the way ({found.target}) leads out of the image"
        return
    if found.type != wanted.type:
        yield f"type: {AN.get(found.type, 'something else')}, not {AN[wanted.type]}"
        return
    if wanted.sha256 and found.sha256 != wanted.sha256:
        yield "content"
    if wanted.target != found.target:
        yield f"link target: {found.target}, not {wanted.target}"
    if wanted.type != "symlink":
        worse = ", world-writable" if found.mode and found.mode & WORLD_WRITABLE else ""
        if wanted.mode is not None and found.mode != wanted.mode:
            yield f"mode: {found.mode or 0:04o}{worse}, not {wanted.mode:04o}"
        elif worse and wanted.mode is None:
            yield f"mode: {found.mode or 0:04o}{worse}"
    if owners and wanted.owner and found.owner != wanted.owner:
        yield f"owner: {found.owner}, not {wanted.owner}"
