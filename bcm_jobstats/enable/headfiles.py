"""The files of every head node: cmsh commands and units of systemd, as resources named `HEAD/FILE`.

Files of this head are read and written in place. Nothing replicates a head's own files (bcm-facts §10), so those of
the other one go through CMDaemon: `pexec` runs a shell command there (AM11 §14.1.2).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from bcm_jobstats.bcm import heads
from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.bcm.errors import Refused, TimedOut
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.enable import commands, headcopies, headunits
from bcm_jobstats.plan.resource import Found, Resource, State
from bcm_jobstats.stack import Stack


@dataclass(frozen=True)
class Kind:
    """One kind of files of head nodes. `folder` is below the root, `goes_to` the same for a shell on the head."""

    name: str
    folder: str
    goes_to: str
    patterns: tuple[str, ...]
    is_ours: Callable[[str], bool]
    own_folder: bool
    """Whether the folder is made for them, and goes when it is empty."""
    restarted: Callable[[str], bool] = lambda name: False
    """Whether systemd has to start the unit of that name anew when it has changed."""

    def takes(self, name: str) -> bool:
        """Whether a file of that name is of this kind."""
        return any(Path(name).match(pattern) for pattern in self.patterns)


COMMANDS = Kind(
    "command", f"root/{commands.FOLDER}", commands.FOLDER, ("jobstats-*.cmsh",), commands.is_ours, own_folder=True
)
UNITS = Kind(
    headunits.KIND, headunits.FOLDER, f"/{headunits.FOLDER}", ("jobstats-*.service", "jobstats-*.timer"),
    headunits.is_ours, own_folder=False, restarted=headunits.restarted,
)  # fmt: skip
READ = (
    "cd ; tar -c "
    + " ".join(f"{kind.goes_to}/{pattern}" for kind in (COMMANDS, UNITS) for pattern in kind.patterns)
    + " 2>/dev/null | base64"
)
RELOAD = "cd /etc/.. ; if [ -d run/systemd/system ] ; then systemctl daemon-reload {then}; fi"
"""For a shell on a head; where no systemd runs (a simulated head that is a directory tree) there is nothing to tell."""


def desired(stack: Stack, reached: Collection[str], root: Path) -> Iterator[Resource]:
    """Every command and unit on every head node that is reached."""
    wanted = {UNITS.name: headunits.files(stack, _on_heads(stack.site.origin.file, root))}
    if stack.site.bcm.commands and stack.roles():
        wanted[COMMANDS.name] = commands.files(stack)
    for head in reached:
        for kind, files in wanted.items():
            for name, content in files.items():
                yield Resource(kind, f"{head}/{name}", {"content": content})


def _on_heads(site_file: str, root: Path) -> str:
    """The path of the site file as a head node knows it."""
    path, top = Path(site_file).absolute(), root.absolute()
    return str("/" / path.relative_to(top)) if path.is_relative_to(top) else str(path)


def notes(stack: Stack, cluster: Cluster, reached: Collection[str]) -> Iterator[str]:
    """A head node that cannot be reached now."""
    what = ["cmsh commands"] * stack.site.bcm.commands + ["units"] * bool(headunits.services(stack.site))
    for head in heads.names(cluster) if what else ():
        if head not in reached:
            yield f"head node {head} is not reached: its {' and '.join(what)} follow with the first run that reaches it"


Files = Mapping[str, Mapping[str, str]]
"""head -> file name -> content of the files there, of all kinds."""


def remote(cluster: Cluster, bcm: Bcm, root: Path) -> Files:
    """The files of the other head node; without it when it is down, or `pexec` does not do there what was
    asked: for want of EXEC_COMMAND_TOKEN, say, which a certificate that only reads does not have."""
    here = heads.own(root, cluster)
    others = [name for name in heads.names(cluster) if name != here and bcm.writes and cluster.nodes[name].is_up]
    try:
        told = bcm.execute(others, READ) if others else {}
    except TimedOut:
        return {}  # a head that hangs must not keep the rest from being planned
    found = {head: headcopies.unpacked(text) for head, text in told.items()}
    return {head: files for head, files in found.items() if files is not None}


class HeadFileProvider:
    """Resources named `HEAD/FILE` with their `content`; ours begin with our mark."""

    def __init__(
        self, rank: int, rank_down: int, bcm: Bcm, cluster: Cluster, root: Path, *, there: Files, of: Kind = COMMANDS
    ) -> None:
        """`there` is what `remote` told."""
        self.kind, self.of = of.name, of
        self.rank, self.rank_down = rank, rank_down
        self.bcm, self.cluster, self.root = bcm, cluster, root
        self.here = heads.own(root, cluster)
        self._there: Optional[Files] = there

    def read(self, names: Collection[str]) -> Mapping[str, Found]:
        """See Provider."""
        if self._there is None:
            self._there = remote(self.cluster, self.bcm, self.root)
        there = {**self._there, **({self.here: self._local()} if self.here else {})}
        return {
            f"{head}/{name}": Found({"content": content}, self.of.is_ours(content))
            for head, contents in there.items()
            for name, content in contents.items()
            if self.of.takes(name) and (self.of.is_ours(content) or f"{head}/{name}" in names)
        }

    def write(self, name: str, before: Optional[State], after: State) -> None:
        """See Provider."""
        head, file = name.split("/")
        if head == self.here:
            headcopies.put(self._folder() / file, after["content"].encode())
        else:
            to, packed = self.of.goes_to, headcopies.packed(file, after["content"])
            self._execute(head, f"cd ; mkdir -p {to} ; cd {to} ; echo {packed} | base64 -d | tar -x")
        self._reload(head, f"; systemctl try-restart {file} " if before and self.of.restarted(file) else "")

    def remove(self, name: str, before: State) -> Optional[State]:
        """See Provider. Directories that are empty afterwards go too."""
        head, file = name.split("/")
        to = self.of.goes_to
        if head != self.here:
            emptied = f" ; rmdir --ignore-fail-on-non-empty {to}" if self.of.own_folder else ""
            self._execute(head, f"cd ; rm -f {to}/{file}{emptied}")
        elif self.of.own_folder:
            headcopies.take_away(self._folder() / file)
        else:
            (self._folder() / file).unlink(missing_ok=True)
        self._reload(head)
        return None

    def leaves(self, name: str, state: State) -> Optional[State]:
        """See Provider."""
        return None

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        """See Provider."""
        head, file = name.split("/")
        path = f"/{self.of.folder}/{file}"
        on = "" if head == self.here else f"ssh {head} "
        if after is None:
            return [f"{on}rm {path}"]
        return [f"{on}install -D -m 644 /dev/stdin {path} <<'END-OF-FILE'\n{after['content'].rstrip()}\nEND-OF-FILE"]

    def _folder(self) -> Path:
        return self.root / self.of.folder

    def _reload(self, head: str, then: str = "") -> None:
        """Have systemd read its units anew."""
        if self.of is not UNITS:
            return
        line = RELOAD.format(then=then)
        if head == self.here and self.root == Path("/"):
            subprocess.run(["/bin/sh", "-c", line], check=False)
        else:
            self._execute(head, line)

    def _local(self) -> dict[str, str]:
        found = sorted(path for pattern in self.of.patterns for path in self._folder().glob(pattern))
        return {path.name: path.read_text(encoding="utf-8", errors="replace") for path in found if path.is_file()}

    def _execute(self, head: str, command: str) -> None:
        words = self.bcm.execute([head], command).get(head, "")
        self._there = None
        if words.strip():
            remedy = "Cure it there, or set bcm.commands: false in the site file."
            raise Refused(f"head node {head}", f"pexec there said: {words.strip().splitlines()[-1]}", remedy)


def clear_leftovers(root: Path) -> None:
    """Remove what a killed run left half made or half removed on this head."""
    shutil.rmtree(headcopies.aside(root / COMMANDS.folder), ignore_errors=True)
    for kind in (COMMANDS, UNITS):
        for path in (root / kind.folder).glob(".jobstats-*.bcm-jobstats"):
            path.unlink()
