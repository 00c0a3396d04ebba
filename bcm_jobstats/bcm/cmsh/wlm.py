"""Settings of Slurm clusters in cmsh: what is sent and how the answers are read (bcm-facts §5.2, §5.3).

They are asked for in the script that asks for roles, at its beginning: no cmsh more than without them. What cmsh does
not tell is left out, for only a site that wants a setting changed needs it (capability wlm-settings).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bcm_jobstats.bcm import wlmsettings
from bcm_jobstats.bcm.cmsh import answers
from bcm_jobstats.bcm.cmsh.scripts import can_be_sent, command
from bcm_jobstats.bcm.entities import Cluster, WlmCluster
from bcm_jobstats.bcm.errors import Unreadable

SLURM = "slurm"
NAME = "get name"
ASKED = ("etc", "version", *wlmsettings.OWN, *wlmsettings.CGROUPS)


def query(wlms: Mapping[str, WlmCluster]) -> list[str]:
    """Commands that print the settings of Slurm clusters, each after the cluster's name, and the name at the end.

    Every one starts at the top: a submode that is not there must not lead the next astray.
    """
    script: list[str] = []
    for name in _asked(wlms):
        enter = ["home", "wlm", command("use", name), NAME]
        for setting in ASKED:
            inner = ["cgroups"] if setting in wlmsettings.CGROUPS else []
            script += [*enter, *inner, f"get {setting}"]
        script += enter
    return script


def read(cluster: Cluster, text: str) -> tuple[Cluster, str]:
    """`cluster` with what the answer to `query` says of its Slurm clusters, and the rest of the text."""
    wlms, rest = of(cluster.wlms, text)
    return replace(cluster, wlms=wlms), rest


def of(asked: Mapping[str, WlmCluster], text: str) -> tuple[dict[str, WlmCluster], str]:
    """Slurm clusters with their settings from the answer to `query`, and the rest of the text; raises Unreadable."""
    wlms, lines = dict(asked), text.split("\n")
    for name in _asked(wlms):
        marks = [number for number, line in enumerate(lines) if line.strip() == name][: len(ASKED) + 1]
        if len(marks) <= len(ASKED) or any(line.strip() for line in lines[: marks[0]]):
            raise Unreadable(f"wlm cluster {name}", "cmsh did not answer for it", answers.AGAIN)
        told = [_told(lines[start + 1 : end]) for start, end in zip(marks, marks[1:])]
        wlms[name] = _with(wlms[name], dict(zip(ASKED, told)))
        lines = lines[marks[-1] + 1 :]
        if answers.VERSION_HEADING not in {line.strip() for line in lines}:
            raise Unreadable(f"wlm cluster {name}", "cmsh's answer for it is damaged", answers.AGAIN)
    return wlms, "\n".join(lines)


def missing(wlm: WlmCluster) -> list[str]:
    """What cmsh was asked of a Slurm cluster and did not tell in a form that is known."""
    told = {"etc": wlm.etc, "version": wlm.version, **dict.fromkeys(wlm.settings, "told")}
    return [name for name in ASKED if not told.get(name)]


def save(before: WlmCluster, after: WlmCluster) -> list[str]:
    """Commands that change the settings that differ. `commit` takes what is at its level and below, so there is one
    for the cluster and one for its cgroups (bcm-facts §1.5)."""
    script: list[str] = []
    for names, inner in ((wlmsettings.OWN, []), (wlmsettings.CGROUPS, ["cgroups"])):
        values = {name: after.settings.get(name) for name in names}
        changed = [_set(name, value) for name, value in values.items() if value != before.settings.get(name)]
        if changed:
            script += [*(["home"] if script else []), "wlm", command("use", after.name), *inner, *changed, "commit"]
    return script


def _set(name: str, value: str | None) -> str:
    return command(f"set {name}", value) if value else f"clear {name}"


def _asked(wlms: Mapping[str, WlmCluster]) -> list[str]:
    return [name for name, wlm in wlms.items() if wlm.type == SLURM and can_be_sent(name)]


def _told(lines: Sequence[str]) -> str:
    """The value in the lines that one `get` printed. A list may come on several lines (bcm-facts §1.5)."""
    return " ".join(line.strip() for line in lines if line.strip())


def _with(wlm: WlmCluster, told: Mapping[str, str]) -> WlmCluster:
    etc, version = wlmsettings.directory(told["etc"]), wlmsettings.release(told["version"])
    return replace(wlm, etc=etc, version=version, settings=wlmsettings.known(told))
