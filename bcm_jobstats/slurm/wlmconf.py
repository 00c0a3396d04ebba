"""The lines of slurm.conf that jobstats counts on, as resources named `CLUSTER/KEY`: only with `slurm.manage_conf`.

What BCM manages is never written here (bcm-facts §5.2): it may come back at any moment, and a key that stands twice is
the mistake that BCM's manual warns of (peers C9).
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Callable, Optional

from bcm_jobstats.bcm.entities import WlmCluster
from bcm_jobstats.bcm.errors import Unreadable
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.manifest import write_atomically
from bcm_jobstats.plan.apply import Originals
from bcm_jobstats.plan.resource import Found, State
from bcm_jobstats.slurm import confwrite

KIND = "slurmconf"
LINE = "line"
TASK_PLUGINS = ("task/affinity", "task/cgroup")
RECONFIGURE = "scontrol reconfigure"
BEFORE = "slurm.conf.before-bcm-jobstats"
"""A copy of the whole file from before our first line, for as long as one of ours is in it."""


class LeadsOut(JobstatsError):
    """slurm.conf is a symbolic link out of the tree of the head node."""


def _task_plugin(told: Optional[str]) -> str:
    """Both plugins, with whatever else an administrator has there."""
    there = [word for word in (told or "").split(",") if word]
    names = [word if word.lower().startswith("task/") else f"task/{word}" for word in there]
    if told and set(TASK_PLUGINS) <= {name.lower() for name in names}:
        return told
    return ",".join([*TASK_PLUGINS, *(name for name in names if name.lower() not in {*TASK_PLUGINS, "task/none"})])


WANTED: Mapping[str, Callable[[Optional[str]], str]] = {
    "JobAcctGatherType": lambda _: "jobacct_gather/cgroup",
    "ProctrackType": lambda _: "proctrack/cgroup",
    "TaskPlugin": _task_plugin,
}
"""Key -> the value it should have, from the one that counts now: that one itself when it is right (anchors §5).

The kind may be left out of names in TaskPlugin only: Slurm 22.05 and 24.11 refuse the other two without, and capitals.
"""


def conf_file(root: Path, wlm: WlmCluster) -> Path:
    """The slurm.conf of a cluster on this machine; of a symbolic link what it leads to. Raises LeadsOut."""
    path = root / wlm.etc.lstrip("/") / "slurm.conf"
    for _ in range(40):
        if not path.is_symlink():
            break
        target = path.readlink()
        path = root / str(target).lstrip("/") if target.is_absolute() else path.parent / target
    if not path.parent.resolve().is_relative_to(root.resolve()):
        raise LeadsOut(f"{wlm.etc}/slurm.conf", f"leads out of {root}, to {path}", "Make the link a relative one.")
    return path


def text_of(file: Path) -> str:
    """A file's text, with whatever bytes are in it; empty when there is no file."""
    return file.read_bytes().decode("utf-8", "surrogateescape") if file.exists() else ""


class SlurmConfProvider:
    """Resources named `CLUSTER/KEY` with their `line`, None where none outside BCM's section sets the key."""

    kind = KIND

    def __init__(self, rank: int, wlms: Mapping[str, WlmCluster], root: Path, originals: Originals) -> None:
        """Ours are those whose former line is kept in `originals`."""
        self.rank = self.rank_down = rank
        self.root, self.originals = root, originals
        self.wlms = dict(wlms)

    def read(self, names: Collection[str]) -> Mapping[str, Found]:
        """See Provider. Raises Unreadable when BCM does not tell where one is that is to be given back."""
        held = self._held()
        found = {}
        for name in sorted({*names, *held}):
            file, key = self._split(name)
            if file is None and name in held and name.rpartition("/")[0] in self.wlms:
                raise Unreadable(
                    f"wlm cluster {name.rpartition('/')[0]}", "BCM does not tell its etc", "Use --bcm cmsh."
                )
            if file and file.exists():
                line = confwrite.line_of(text_of(file), key)
                found[name] = Found({LINE: line}, ours=name in held, setting=True)
        return found

    def write(self, name: str, before: Optional[State], after: State) -> None:
        """See Provider. The file is replaced whole, with its owner and mode, by what it is now and the one line."""
        file, key = self._split(name)
        if file is None:
            return
        held = self._held()
        only = [other for other in held if self._split(other)[0] == file] == [name]
        original, copy = held.get(name), file.with_name(BEFORE)
        text = text_of(file)
        changed = confwrite.with_line(text, key, after[LINE])
        if changed != text:
            if only and before == original and not copy.exists():
                _replace(copy, text, like=file)
            _replace(file, changed, like=file)
        if only and after == original:
            copy.unlink(missing_ok=True)

    def leaves(self, name: str, state: State) -> Optional[State]:
        """See Provider."""
        return None

    def remove(self, name: str, before: State) -> Optional[State]:
        """See Provider. A setting cannot be removed, only given back: it stays as it is."""
        return before

    def commands(self, name: str, before: Optional[State], after: Optional[State]) -> list[str]:
        """See Provider. sed's part of slurm.conf is what stands before BCM's section, or all of it without one."""
        file, key = self._split(name)
        shown = shlex.quote(str(file))
        line = after[LINE] if after else None
        outside = r"/^# BEGIN AUTO/,/^# END AUTO/!"
        if line is None:
            return [f"sed -i '{outside}{{/^[[:space:]]*{key}[[:space:]]*=/Id}}' {shown}", RECONFIGURE]
        if before and before[LINE] is not None:
            script = f"{outside}s|^[[:space:]]*{key}[[:space:]]*=.*|{_escaped(line)}|I"
            return [f"sed -i {shlex.quote(script)} {shown}", RECONFIGURE]
        if file and any("# BEGIN AUTO" in one for one in text_of(file).splitlines()):
            return [f"sed -i '/^# BEGIN AUTO/i {line}' {shown}", RECONFIGURE]
        return [f"printf '%s\\n' {shlex.quote(line)} >> {shown}", RECONFIGURE]

    def _held(self) -> dict[str, State]:
        there = self.originals.all().items()
        return {address[len(KIND) + 1 :]: state for address, state in there if address.startswith(f"{KIND}.")}

    def _split(self, name: str) -> tuple[Optional[Path], str]:
        cluster, _, key = name.rpartition("/")
        wlm = self.wlms.get(cluster)
        return (conf_file(self.root, wlm) if wlm and wlm.etc else None), key


def _escaped(line: str) -> str:
    return re.sub(r"([\\&|])", r"\\\1", line).replace("\n", r"\n")


def _replace(file: Path, text: str, *, like: Path) -> None:
    status = like.stat()
    owner = (status.st_uid, status.st_gid) if os.geteuid() == 0 else None
    write_atomically(file, text.encode("utf-8", "surrogateescape"), stat.S_IMODE(status.st_mode), owner)
