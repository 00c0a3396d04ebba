"""What should hold in Slurm: the settings that the site file names, and with `manage_conf` lines of slurm.conf.

A setting that the site file does not name is not ours. To name it is to ask for it, so nothing else has to be agreed
to; what an administrator had there is kept, and given back when the setting is taken out of the site file again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Optional

from bcm_jobstats.bcm import wlmsettings
from bcm_jobstats.bcm.entities import Cluster, WlmCluster
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.plan.apply import Originals
from bcm_jobstats.plan.model import Plan
from bcm_jobstats.plan.resource import Provider, Resource
from bcm_jobstats.site import Site
from bcm_jobstats.slurm import conffile, confwrite, selecting, wlm, wlmconf
from bcm_jobstats.slurm.conflines import WHOLE
from bcm_jobstats.slurm.reading import version

RANK_OF_LINES, RANK_OF_SETTINGS = 65, 70
"""The lines first, so that a restart of Slurm's daemons takes them in."""


def providers(bcm: Bcm, cluster: Cluster, root: Path, originals: Originals) -> list[Provider]:
    """The providers of both kinds; ours are those that `originals` holds the former state of."""
    return [
        wlmconf.SlurmConfProvider(RANK_OF_LINES, cluster.wlms, root, originals),
        wlm.WlmProvider(RANK_OF_SETTINGS, bcm, cluster.wlms, originals),
    ]


def desired(site: Site, cluster: Cluster, root: Path) -> list[Resource]:
    """What the site file asks for, as far as it can be had; `problems` tells the rest."""
    slurm = of_site(site, cluster)
    if slurm is None:
        return []
    told = {name: value for name, value in asked(site).items() if name in slurm.settings}
    settings = [
        Resource(wlm.KIND, f"{slurm.name}/{name}", {wlm.VALUE: _spelled(slurm.settings[name], value)})
        for name, value in told.items()
    ]
    return settings + [resource for resource, _ in _lines(site, slurm, root)]


def problems(site: Site, cluster: Cluster, root: Path) -> Iterator[str]:
    """Why something that the site file asks for cannot be had."""
    slurm, wanted = of_site(site, cluster), asked(site)
    if not (wanted or site.slurm.manage_conf):
        return
    if slurm is None:
        there = ", ".join(sorted(_slurm_clusters(cluster))) or "none"
        yield (
            f"{site.where('slurm')}: BCM tells of no Slurm cluster {site.cluster} (it has: {there})\n"
            "  Set `cluster` to its name, or take `slurm` out of the site file."
        )
        return
    for name in wanted:
        if name not in slurm.settings:
            setting = site.where(f"slurm.{SETTINGS[name]}")
            yield f"{setting}: BCM does not tell {name} of {slurm.name}\n  Use --bcm cmsh, or take it out."
    if words := wanted.get(wlmsettings.SELECT_TYPE_PARAMETERS):
        setting = site.where(f"slurm.{SETTINGS[wlmsettings.SELECT_TYPE_PARAMETERS]}")
        refusals = selecting.refusals(words, version(slurm.version), _select_type(slurm, root))
        yield from (f"{setting}: {cause}\n  With it Slurm would start on no node: change it." for cause in refusals)
    if site.slurm.manage_conf and not conffile.read(_file(slurm, root), root).found:
        yield (
            f"{site.where('slurm.manage_conf')}: there is no {slurm.etc or 'known directory'}/slurm.conf\n"
            "  Take it out of the site file, or see to it that `wlm get etc` in cmsh names the directory."
        )
    yield from (f"{site.where('slurm.manage_conf')}: {problem}" for _, problem in _lines(site, slurm, root) if problem)


def notes(plan: Plan) -> Iterator[str]:
    """What the daemons of Slurm do about a plan, or have to be told (bcm-facts §5.2)."""
    for change in plan.changes:
        cluster, _, setting = change.name.rpartition("/")
        if change.kind == wlm.KIND and change.fields():
            restarts = setting == wlmsettings.SELECT_TYPE_PARAMETERS
            then = "restarts slurmctld and slurmd on all nodes" if restarts else "has Slurm reconfigure (scontrol)"
            yield f"{setting} of {cluster} changes: BCM {then}"
            doubts = selecting.doubts(change.after[wlm.VALUE]) if restarts and change.after else ()
            yield from (f"{doubt} (cmsh: wlm; use {cluster}; get version)" for doubt in doubts)
    edits = (change for change in plan.changes if change.kind == wlmconf.KIND and change.fields())
    edited = {change.name.rpartition("/")[0] for change in edits}
    for cluster in sorted(edited):
        yield f"slurm.conf of {cluster} changes where BCM does not look: run `scontrol reconfigure` afterwards"


def clear_leftovers(cluster: Cluster, root: Path) -> None:
    """Remove what a killed run left half written beside slurm.conf."""
    for slurm in _slurm_clusters(cluster).values():
        with suppress(wlmconf.LeadsOut):  # nothing was written there
            for path in _file(slurm, root).parent.glob(".slurm.conf*.bcm-jobstats"):
                path.unlink()


def of_site(site: Site, cluster: Cluster) -> Optional[WlmCluster]:
    """The Slurm cluster that the site file names; Slurm folds its letters (slurm.conf(5), ClusterName)."""
    slurm = _slurm_clusters(cluster)
    same = (one for name, one in slurm.items() if name.lower() == site.cluster.lower())
    return slurm.get(site.cluster) or next(same, None)


SETTINGS = {
    wlmsettings.CONSTRAIN_RAM_SPACE: "constrain_ram",
    wlmsettings.CONSTRAIN_CORES: "constrain_cores",
    wlmsettings.SELECT_TYPE_PARAMETERS: "select_type_parameters",
}
"""The settings as BCM and as the site file call them."""


def asked(site: Site) -> dict[str, str]:
    """The settings of BCM's wlm that the site file sets, by their names there."""
    words = {True: "yes", False: "no"}
    told = {name: getattr(site.slurm, setting) for name, setting in SETTINGS.items()}
    return {name: words.get(value, value) for name, value in told.items() if value is not None}


def _spelled(found: str, wanted: str) -> str:
    return found if wlmsettings.same(found, wanted) else wanted


def _slurm_clusters(cluster: Cluster) -> dict[str, WlmCluster]:
    return {name: one for name, one in cluster.wlms.items() if one.type == "slurm"}


def _file(slurm: WlmCluster, root: Path) -> Path:
    return wlmconf.conf_file(root, slurm) if slurm.etc else root / "nowhere" / "slurm.conf"


def _select_type(slurm: WlmCluster, root: Path) -> str:
    """SelectType; empty when it cannot be told."""
    with suppress(JobstatsError):
        return conffile.read(_file(slurm, root), root).get("SelectType") or ""
    return ""


def _lines(site: Site, slurm: WlmCluster, root: Path) -> Iterator[tuple[Resource, str]]:
    """The lines of slurm.conf, each with why it cannot be had, empty when it can: it then stays as it is."""
    if not site.slurm.manage_conf:
        return  # a file that cannot be read is then nobody's concern
    file = _file(slurm, root)
    conf = conffile.read(file, root)
    if not conf.found:
        return
    text = "".join(line.text for line in conf.lines)
    for key, wanted in wlmconf.WANTED.items():
        line, setting = confwrite.line_of(text, key), conf.setting(key)
        value = wanted(setting.value if setting else None)
        problem = ""
        if setting and setting.value == value:
            pass
        elif WHOLE in text[:1000]:
            problem = f"{file} is CMDaemon's as a whole, and {key} would have to be {value}\n  Set it in BCM."
        elif setting and setting.generated:
            problem = f"{setting.where} has {key}={setting.value} in BCM's section, not {value}\n  Set it in BCM."
        elif setting and setting.file != file:
            problem = f"{setting.where} has {key}={setting.value}, not {value}\n  Change it in that file."
        else:
            line = confwrite.with_value(line, key, value)
        yield Resource(wlmconf.KIND, f"{slurm.name}/{key}", {wlmconf.LINE: line}), problem
