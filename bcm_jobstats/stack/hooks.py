"""Slurm's prologs and epilogs as they are deployed, and what keeps their maps true (peers C4, C7; bcm-facts §5.1).

A hook is named as its file is, without the ending: `prolog-jobstats`. The two of one name (`jobstats`, `dcgm`) serve
the exporters whose definition says `hooks:` so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from bcm_jobstats import data
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.site import Site
from bcm_jobstats.site.checks import TEXTFILES
from bcm_jobstats.stack import render
from bcm_jobstats.stack.files import LIBRARY, UNITS, PayloadFile, PayloadLink, script, source

NAMES = ("jobstats", "dcgm")
MAPS = {"jobstats": "gpustat", "dcgm": "dcgm-job-map"}
"""What the hooks of a name write, below /run."""
KINDS = ("prolog", "epilog")
FOLDERS = {kind: f"/cm/local/apps/slurm/var/{kind}s" for kind in KINDS}
"""Where BCM's generic prolog and epilog find the scripts they run, by number (bcm-facts §5.1)."""
SWEEP = "jobstats-sweep"
GPUS = "jobstats-gpus"
"""What writes the table of GPUs: slurmd starts it and waits for it, so that the first job of a boot finds the table."""
SHARED_PART = "gpu-map.bash"
INCLUDE = '. "${BASH_SOURCE[0]%/*}/' + SHARED_PART + '"'
FORGET = "gpu-forget"
STATE = "/run/bcm-jobstats"
TMPFILES = "/etc/tmpfiles.d/bcm-jobstats.conf"


class BadScript(JobstatsError):
    """A script of the package that is not as the deployment expects it: the installation is damaged."""

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(str(data.path("scripts") / name), cause, "Install bcm_jobstats again.")


def wanted(site: Site, reads: Collection[str]) -> tuple[str, ...]:
    """The names of the hooks that a site wants where exporters read the maps of those in `reads`; in order."""
    return tuple(name for name in NAMES if name in reads and site.hooks.enabled)


def forgetting(site: Site, name: str | None) -> str:
    """The command that empties the map of hooks that the site does not want any more; "" where there is none to empty.

    Without it a job that ran when the hooks went would stand in the map for ever: its epilog never comes.
    """
    return "" if name is None or site.hooks.enabled else f"{LIBRARY}/{FORGET} {MAPS[name]}"


def of(names: Collection[str]) -> tuple[str, ...]:
    """The hooks of these names, such as `prolog-dcgm`; in the order of NAMES."""
    return tuple(f"{kind}-{name}" for name in NAMES if name in names for kind in KINDS)


def folder(hook: str) -> str:
    """The folder that holds the link of a hook."""
    return FOLDERS[hook.partition("-")[0]]


def link_path(hook: str) -> str:
    """The symbolic link by which BCM runs a hook. 60: after BCM's own, as public practice has it (bcm-facts §5.1)."""
    return f"{folder(hook)}/60-{hook}.sh"


def shared_path(hook: str, version: str) -> str:
    """Where a hook lies on shared storage; `version` is BCM's. BCM's own lie there too (bcm-facts §5.1)."""
    if version.startswith("11"):
        return f"/cm/shared/apps/slurm/{hook.partition('-')[0]}s/{hook}.sh"
    return f"/cm/shared/apps/slurm/var/cm/{hook}.sh"


def target(site: Site, hook: str, version: str) -> str:
    """What the link of a hook points to."""
    return f"{LIBRARY}/{hook}.sh" if _local(site) else shared_path(hook, version)


def text(site: Site, name: str) -> bytes:
    """A script with what it shares with the others in it and the site's settings: one file that needs no other.

    Raises BadScript.
    """
    lines = script(name).decode().split("\n")
    if lines.count(INCLUDE) != 1:
        raise BadScript(name, f"has {lines.count(INCLUDE)} lines that read {SHARED_PART}, not one")
    place = lines.index(INCLUDE)
    return "\n".join([*lines[:place], *_shared_part(site), *lines[place + 1 :]]).encode()


def shared(site: Site, names: Collection[str], version: str) -> Iterator[PayloadFile]:
    """The hooks on shared storage."""
    for hook in () if _local(site) else of(names):
        yield PayloadFile(shared_path(hook, version), text(site, f"{hook}.sh"), 0o755)


def links(site: Site, names: Collection[str], version: str) -> Iterator[PayloadLink]:
    """The links of a node that has the hooks."""
    for hook in of(names):
        yield PayloadLink(link_path(hook), target(site, hook, version))
    if names:
        yield PayloadLink(f"{UNITS}/slurmd.service.wants/{GPUS}.service", f"{UNITS}/{GPUS}.service")


def files(site: Site, reads: Collection[str]) -> Iterator[PayloadFile]:
    """The files of a node whose exporters read the maps of the hooks in `reads`: directories, the sweeper, the hooks
    where they are local.

    The sweeper stays where the site wants no hooks: with its files gone while it runs, systemd would call it failed.
    Nothing starts it then, and it stops when the services that wanted it are restarted.
    """
    names = wanted(site, reads)
    yield PayloadFile(TMPFILES, _rendered("bcm-jobstats.conf.j2", names))
    if not reads:
        return
    yield PayloadFile(f"{LIBRARY}/gpu-sweep", text(site, "gpu-sweep"), 0o755)
    yield PayloadFile(f"{LIBRARY}/gpu-table", script("gpu-table"), 0o755)
    if not names:
        yield PayloadFile(f"{LIBRARY}/{FORGET}", text(site, FORGET), 0o755)
    for unit in (f"{SWEEP}.service", f"{SWEEP}.timer", f"{GPUS}.service"):
        yield PayloadFile(f"{UNITS}/{unit}", _rendered(f"{unit}.j2", names))
    for hook in of(names) if _local(site) else ():
        yield PayloadFile(f"{LIBRARY}/{hook}.sh", text(site, f"{hook}.sh"), 0o755)


def directories(names: Collection[str]) -> tuple[str, ...]:
    """The directories of a node's hooks, those above others first; node_exporter reads one of them, hooks or not."""
    maps = [MAPS[name] for name in NAMES if name in names]
    own = [f"{STATE}/runs", *(f"{STATE}/{one}{end}" for one in maps for end in ("", "/.new"))] if maps else []
    return (STATE, TEXTFILES, *own, *(f"/run/{one}" for one in maps))


def _rendered(template: str, names: Collection[str]) -> bytes:
    values = {"directories": directories(names), "library": LIBRARY, "sweep": SWEEP, "gpus": GPUS}
    return render.unit(template, data.path("overlays") / "templates", values)


def _shared_part(site: Site) -> list[str]:
    found = source(SHARED_PART).decode()
    chosen = {"run": "/run", "mode": site.job_map.mode, "release": site.job_map.release}
    for name, value in {**chosen, "numbers": site.job_map.numbers}.items():
        found, count = re.subn(rf"^{name}=.*$", f"{name}={value}", found, flags=re.MULTILINE)
        if count != 1:
            raise BadScript(SHARED_PART, f"has {count} lines that set {name}, not one")
    lines = found.rstrip("\n").split("\n")
    return lines[1:] if lines[0].startswith(("#!", "# shellcheck shell=")) else lines


def _local(site: Site) -> bool:
    return site.hooks.location == "local"
