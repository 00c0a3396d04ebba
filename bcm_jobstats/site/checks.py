"""What no single setting can see: names that no definition knows, ports that collide, places that cannot work.

All of it is checked without a cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Optional

from bcm_jobstats.site import artifactchecks
from bcm_jobstats.site.arguments import merged, values
from bcm_jobstats.site.known import Known
from bcm_jobstats.site.problems import Problem, did_you_mean
from bcm_jobstats.site.schema import ROLE_MONITOR, Site

BCM_PORTS = {8081: "CMDaemon"}
"""Ports taken on every node that BCM manages (bcm-facts §9)."""
TEXTFILE = "node_exporter"
"""The exporter that serves what the hooks write as metrics."""
TEXTFILE_OPTION = "--collector.textfile.directory"
TEXTFILES = "/run/bcm-jobstats/textfile"
"""Where the hooks write them."""


def problems(site: Site, known: Optional[Known]) -> Iterator[Problem]:
    """Everything wrong in a site file whose settings are well formed, each one by one."""
    yield from _places(site)
    yield from _one_role_followed(site)
    if known is not None:
        yield from _unknown_names(site, known)
        yield from _ports(site, known)
        yield from _empty_roles(site, known)
        yield from _job_map(site, known)
        yield from artifactchecks.problems(site, known)


def _problem(site: Site, path: str, cause: str, remedy: str) -> Problem:
    return Problem(site.origin.file, site.origin.line(path), f"{path}: {cause}", remedy)


def _places(site: Site) -> Iterator[Problem]:
    if PurePosixPath(site.targets.directory).parent == PurePosixPath("/"):
        remedy = "temporary files go next to it: use a folder below one, as /cm/shared/apps/jobstats/prometheus-targets"
        yield _problem(site, "targets.directory", f"{site.targets.directory} lies directly below /", remedy)
    for name, role in site.roles.items():
        if role.attach.with_role == f"generic::{name}":
            remedy = "name the role it is to follow, such as slurmclient"
            yield _problem(site, f"roles.{name}.attach.with_role", "a role cannot follow itself", remedy)
        if role.priority is not None and role.attach.form not in ("own", "manual"):
            cause = "there is no overlay of our own that could have a priority"
            yield _problem(
                site, f"roles.{name}.priority", cause, "remove it, or attach the role by nodes or categories"
            )


def _one_role_followed(site: Site) -> Iterator[Problem]:
    """In enable.mode role-monitor there is one agent on a node, and it follows one role of BCM."""
    wanted = {name: role.attach for name, role in site.roles.items() if role.enabled}
    first = ""
    for name, attach in wanted.items() if site.enable.mode == ROLE_MONITOR else ():
        path = f"roles.{name}.attach"
        if not attach.with_role:
            cause = "enable.mode role-monitor makes no role of ours: its agent follows one that BCM has"
            yield _problem(site, path, cause, "attach it by with_role, such as {with_role: slurmclient}")
        elif first and attach.with_role.lower() != str(wanted[first].with_role).lower():
            cause = f"the agent follows one role, and {first} has {wanted[first].with_role}"
            yield _problem(site, path, cause, f"give both the same with_role, or set roles.{name}.enabled to false")
        else:
            first = first or name


def _unknown_names(site: Site, known: Known) -> Iterator[Problem]:
    roles = {role_of(site, known, name) for name in known.exporters}
    for name in site.roles:
        if name not in roles:
            yield _problem(site, f"roles.{name}", "no exporter belongs to this role", did_you_mean(name, roles))
    for name in site.exporters:
        if name not in known.exporters:
            remedy = did_you_mean(name, known.exporters)
            yield _problem(site, f"exporters.{name}", "no definition knows this exporter", remedy)


def enabled(site: Site, known: Known) -> list[str]:
    """The names of the exporters that the site runs, those of the lowest default port first."""
    names = sorted(known.exporters, key=lambda name: (known.exporters[name].port, name))
    return [name for name in names if _runs(site, name, role_of(site, known, name))]


def _runs(site: Site, exporter: str, role: str) -> bool:
    wanted = role in site.roles and site.roles[role].enabled
    return wanted and (exporter not in site.exporters or site.exporters[exporter].enabled)


def role_of(site: Site, known: Known, exporter: str) -> str:
    """The role an exporter belongs to: the site's choice, else the definition's."""
    chosen = site.exporters[exporter].role if exporter in site.exporters else None
    return chosen or known.exporters[exporter].role


def port_of(site: Site, known: Known, exporter: str) -> int:
    """The port an exporter gets: the site's, else the definition's."""
    chosen = site.exporters[exporter].port if exporter in site.exporters else None
    return known.exporters[exporter].port if chosen is None else chosen


def _ports(site: Site, known: Known) -> Iterator[Problem]:
    """All roles count together: nothing keeps two of them from one node."""
    owners = dict(BCM_PORTS)
    for name in enabled(site, known):
        port = port_of(site, known, name)
        if port in owners:
            own = name in site.exporters and site.exporters[name].port is not None
            path = f"exporters.{name}.port" if own else f"roles.{role_of(site, known, name)}"
            remedy = f"set exporters.{name}.port to a free port"
            yield _problem(site, path, f"{name} and {owners[port]} would both listen on port {port}", remedy)
        owners.setdefault(port, name)


def _empty_roles(site: Site, known: Known) -> Iterator[Problem]:
    busy = {role_of(site, known, name) for name in enabled(site, known)}
    roles = {role_of(site, known, name) for name in known.exporters}
    for name, role in site.roles.items():
        if role.enabled and name in roles - busy:
            remedy = f"enable one, or set roles.{name}.enabled to false"
            yield _problem(site, f"roles.{name}", "all exporters of this role are disabled", remedy)


def _job_map(site: Site, known: Known) -> Iterator[Problem]:
    """The metric that mode info and both stand for is served by node_exporter's textfile collector (peers C7)."""
    there = enabled(site, known) if site.hooks.enabled and site.job_map.mode != "label" else []
    if not any(known.exporters[name].hooks == "dcgm" for name in there):
        return
    if TEXTFILE not in there:
        cause = f"slurm_job_gpu_info is served by {TEXTFILE}, which the site does not run"
        yield _problem(site, "job_map.mode", cause, "enable it, or set mode: label")
    elif not _reads_textfiles(site, known):
        cause = f"slurm_job_gpu_info lies in {TEXTFILES}, which {TEXTFILE} does not read"
        remedy = f"give it {TEXTFILE_OPTION}={TEXTFILES} and have your own metrics written there, or set mode: label"
        own = TEXTFILE in site.exporters and site.exporters[TEXTFILE].arguments
        yield _problem(site, f"exporters.{TEXTFILE}.arguments" if own else "job_map.mode", cause, remedy)


def _reads_textfiles(site: Site, known: Known) -> bool:
    """The option may be a pattern, and newer versions take it more than once."""
    own = site.exporters[TEXTFILE].arguments if TEXTFILE in site.exporters else ()
    given = values(merged(known.exporters[TEXTFILE].arguments, own), TEXTFILE_OPTION)
    return any(PurePosixPath(TEXTFILES).match(pattern) for pattern in given if pattern.startswith("/"))
