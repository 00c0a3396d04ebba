"""The cmsh command files of every head node, as resources named `HEAD/FILE`.

Files of this head are read and written in place. Nothing replicates a head's own files (bcm-facts §10), so those of
the other one go through CMDaemon: `pexec` runs a shell command there (AM11 §14.1.2).
"""

from __future__ import annotations

import base64
import binascii
import io
import shutil
import tarfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Optional

from bcm_jobstats.bcm import heads
from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.bcm.errors import Refused, TimedOut
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.enable.commands import FOLDER, files, is_ours
from bcm_jobstats.imaging.manifest import write_atomically
from bcm_jobstats.plan.resource import Found, Resource, State
from bcm_jobstats.stack import Stack

KIND = "command"
READ = f"cd ; tar -c {FOLDER}/jobstats-*.cmsh 2>/dev/null | base64"


def desired(stack: Stack, reached: Collection[str]) -> Iterator[Resource]:
    """Every command on every head node that is reached."""
    if stack.site.bcm.commands and stack.roles():
        for head in reached:
            for name, content in files(stack).items():
                yield Resource(KIND, f"{head}/{name}", {"content": content})


def notes(stack: Stack, cluster: Cluster, reached: Collection[str]) -> Iterator[str]:
    """A head node that cannot be reached now."""
    for head in heads.names(cluster) if stack.site.bcm.commands else ():
        if head not in reached:
            yield f"head node {head} is not reached: its cmsh commands follow with the first run that reaches it"


Files = Mapping[str, Mapping[str, str]]
"""head -> file name -> content of the command files there."""


def remote(cluster: Cluster, bcm: Bcm, root: Path) -> Files:
    """The command files of the other head node; without it when it is down, or `pexec` does not do there what was
    asked: for want of EXEC_COMMAND_TOKEN, say, which a certificate that only reads does not have."""
    here = heads.own(root, cluster)
    others = [name for name in heads.names(cluster) if name != here and bcm.writes and cluster.nodes[name].is_up]
    try:
        told = bcm.execute(others, READ) if others else {}
    except TimedOut:
        return {}  # a head that hangs must not keep the rest from being planned
    found = {head: _unpacked(text) for head, text in told.items()}
    return {head: files for head, files in found.items() if files is not None}


class HeadFileProvider:
    """Resources named `HEAD/FILE` with their `content`; ours begin with our mark."""

    kind = KIND

    def __init__(self, rank: int, rank_down: int, bcm: Bcm, cluster: Cluster, root: Path, *, there: Files) -> None:
        """`there` is what `remote` told."""
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
            f"{head}/{name}": Found({"content": content}, is_ours(content))
            for head, contents in there.items()
            for name, content in contents.items()
            if is_ours(content) or f"{head}/{name}" in names
        }

    def write(self, name: str, before: Optional[State], after: State) -> None:
        """See Provider."""
        head, file = name.split("/")
        if head == self.here:
            _put(self._folder() / file, after["content"].encode())
        else:
            self._execute(head, f"cd ; echo {_packed(file, after['content'])} | base64 -d | tar -x")

    def remove(self, name: str, before: State) -> Optional[State]:
        """See Provider. Directories that are empty afterwards go too."""
        head, file = name.split("/")
        if head == self.here:
            _take_away(self._folder() / file)
        else:
            self._execute(head, f"cd ; rm -f {FOLDER}/{file} ; rmdir --ignore-fail-on-non-empty {FOLDER}")
        return None

    def leaves(self, name: str, state: State) -> Optional[State]:
        """See Provider."""
        return None

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        """See Provider."""
        head, file = name.split("/")
        path = f"/root/{FOLDER}/{file}"
        on = "" if head == self.here else f"ssh {head} "
        if after is None:
            return [f"{on}rm {path}"]
        return [f"{on}install -D -m 644 /dev/stdin {path} <<'END-OF-FILE'\n{after['content'].rstrip()}\nEND-OF-FILE"]

    def _folder(self) -> Path:
        return self.root / "root" / FOLDER

    def _local(self) -> dict[str, str]:
        found = sorted(self._folder().glob("jobstats-*.cmsh"))
        return {path.name: path.read_text(encoding="utf-8", errors="replace") for path in found if path.is_file()}

    def _execute(self, head: str, command: str) -> None:
        words = self.bcm.execute([head], command).get(head, "")
        self._there = None
        if words.strip():
            remedy = "Cure it there, or set bcm.commands: false in the site file."
            raise Refused(f"head node {head}", f"pexec there said: {words.strip().splitlines()[-1]}", remedy)


def clear_leftovers(root: Path) -> None:
    """Remove what a killed run left half made or half removed on this head."""
    folder = root / "root" / FOLDER
    shutil.rmtree(_aside(folder), ignore_errors=True)
    for path in folder.glob(".jobstats-*.bcm-jobstats"):
        path.unlink()


def _put(path: Path, content: bytes) -> None:
    """Write a file whole; a folder that has to be made appears with it."""
    if path.parent.is_dir():
        write_atomically(path, content)
        return
    aside = _aside(path.parent)
    aside.mkdir(parents=True)
    write_atomically(aside / path.name, content)
    aside.rename(path.parent)


def _take_away(path: Path) -> None:
    """Remove a file, and its folder with the last one: moved aside first, so that no empty folder is left by a kill."""
    if [other.name for other in path.parent.iterdir()] == [path.name]:
        aside = _aside(path.parent)
        path.parent.rename(aside)
        shutil.rmtree(aside)
    else:
        path.unlink(missing_ok=True)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.bcm-jobstats")


def _packed(name: str, content: str) -> str:
    """A tar file with one command file, as base64."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo(f"{FOLDER}/{name}")
        entry.size, entry.mode = len(content.encode()), 0o644
        archive.addfile(entry, io.BytesIO(content.encode()))
    return base64.b64encode(stream.getvalue()).decode()


def _unpacked(text: str) -> Optional[dict[str, str]]:
    """The command files in what READ printed, empty for an empty archive; None when that is something else."""
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            entries = [(entry, archive.extractfile(entry)) for entry in archive if entry.isfile()]
            return {Path(e.name).name: stream.read().decode("utf-8", "replace") for e, stream in entries if stream}
    except (tarfile.TarError, binascii.Error, EOFError, OSError):
        return None
