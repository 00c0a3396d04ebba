"""Files that CMDaemon writes to nodes because a generic role has configurations (bcm-facts §3.2).

Played are entries of type `static`: the content goes to the file name, with its mask, and directories are made when
the entry says so. User and group names are not applied. That a changed file restarts the role's services when the
entry says RESTART is what the property's name implies. What becomes of a file when its entry goes is the switch
`configuration_removal`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Optional

from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.resolver import names_in
from bcm_jobstats.simulator.state import State
from bcm_jobstats.simulator.switches import Switches

MASK = "0644"
Trees = Callable[[str], Optional[Path]]
"""Where the file tree of a node or head lies; None for a node on paper."""


@dataclass(frozen=True)
class File:
    """A file as a role wants it, and the services to restart when it changed."""

    content: str
    mode: int
    make_directory: bool
    restart: tuple[str, ...]


class Configurations:
    """Keeps the files of generic roles on the nodes."""

    def __init__(self, trees: Trees, switches: Switches) -> None:
        self._trees = trees
        self._switches = switches
        self._written: dict[str, set[str]] = {}

    def follow(self, state: State, nodes: Collection[str]) -> list[tuple[str, str]]:
        """Write what changed to `nodes`; the services to restart, each with its node."""
        if not self._written and not _has_any(state):
            return []
        restarts: list[tuple[str, str]] = []
        for node in sorted(nodes):
            tree = self._trees(node)
            if tree is not None:
                restarts += ((node, service) for service in self._follow(node, tree, _wanted(state, node)))
        return restarts

    def written(self, node: str) -> list[str]:
        """The files that were written to a node."""
        return sorted(self._written.get(node, ()))

    def _follow(self, node: str, tree: Path, wanted: Mapping[str, File]) -> Iterable[str]:
        before = self._written.get(node, set())
        if self._switches["configuration_removal"] == "delete":
            for name in before - set(wanted):
                _place(tree, name).unlink(missing_ok=True)
        changed = [file for name, file in wanted.items() if _write(_place(tree, name), file)]
        self._written[node] = set(wanted)
        return dict.fromkeys(service for file in changed for service in file.restart)


def _has_any(state: State) -> bool:
    holders = (
        holder for mode in ("configurationoverlay", "category", "device") for holder in state.table(mode).values()
    )
    return any(role.entries("configurations") for holder in holders for role in holder.entries("roles").values())


def _wanted(state: State, node: str) -> dict[str, File]:
    return {
        name: file
        for held in state.resolver.roles(node).values()
        for entry in held.role.entries("configurations").values()
        for name, file in _file(held.role, entry)
    }


def _file(role: Entity, entry: Entity) -> Iterator[tuple[str, File]]:
    """The file of an entry; none when it is disabled, of another type, or names no file of the node."""
    values = entry.values
    name = str(values.get("filename", ""))
    if entry.kind != "static" or values.get("disabled") == "yes":
        return
    if not name.startswith("/") or ".." in PurePosixPath(name).parts:
        return
    restarts = values.get("serviceactiononwrite", "RESTART") == "RESTART"
    services = names_in(role, "services") if restarts else ()
    make = values.get("createdirectory", "yes") == "yes"
    yield name, File(str(values.get("content", "")), _mode(str(values.get("filemask", MASK))), make, services)


def _mode(mask: str) -> int:
    try:
        return int(mask, 8) & 0o7777
    except ValueError:
        return int(MASK, 8)


def _place(tree: Path, name: str) -> Path:
    return tree / name.lstrip("/")


def _write(path: Path, file: File) -> bool:
    """Write a file unless it is as wanted; whether it changed. It is not written into a directory that is missing."""
    raw = file.content.encode()
    if path.is_file() and path.read_bytes() == raw and path.stat().st_mode & 0o7777 == file.mode:
        return False
    if file.make_directory:
        path.parent.mkdir(parents=True, exist_ok=True)
    if not path.parent.is_dir() or path.is_dir():
        return False
    fresh = path.with_name(path.name + ".cmd-new")
    fresh.write_bytes(raw)
    fresh.chmod(file.mode)
    fresh.replace(path)
    return True
