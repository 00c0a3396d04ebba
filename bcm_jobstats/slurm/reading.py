"""Which Slurm cluster is meant, and where its configuration lies: BCM tells both (bcm-facts §5.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from bcm_jobstats.bcm.entities import WlmCluster
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.site import Site
from bcm_jobstats.slurm import preflight
from bcm_jobstats.slurm.conffile import read
from bcm_jobstats.slurm.findings import ERROR, NOTE, WARNING, Finding, Seen

SLURM = "slurm"
"""The type of Slurm's WLM clusters (bcm-facts §1.7)."""
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?")


NONE: Mapping[str, str] = {}


def examine(
    site: Site, wlms: Iterable[WlmCluster], root: Path, excludes: Mapping[str, str] = NONE
) -> tuple[int, list[Finding]]:
    """How many checks of Slurm were made, and what they found; none can be made where there is no Slurm.

    `excludes`: category of nodes with slurmd -> its excludelistupdate, as far as BCM tells them."""
    clusters = {wlm.name.lower(): wlm for wlm in wlms if wlm.type == SLURM}
    wlm = clusters.get(site.cluster) or (next(iter(clusters.values())) if len(clusters) == 1 else None)
    if wlm is None:
        return 0, [_none_of(site, list(clusters))]
    if not wlm.etc:
        cause = "BCM does not tell where its slurm.conf lies (etc): nothing of Slurm was checked"
        return 0, [Finding(WARNING, f"wlm {wlm.name}", cause, f"cmsh: wlm; use {wlm.name}; get etc")]
    try:
        seen = look(site, wlm, root, excludes)
    except JobstatsError as error:
        return 0, [Finding(ERROR, error.subject, f"{error.cause}: nothing of Slurm was checked", error.remedy)]
    if not seen.slurm.found:
        return 0, [Finding(NOTE, str(seen.slurm.path), "is not there: no Slurm, and nothing of it was checked")]
    return len(preflight.CHECKS), list(preflight.findings(seen))


def _none_of(site: Site, names: list[str]) -> Finding:
    if not names:
        return Finding(NOTE, "wlm", "BCM has no Slurm cluster: nothing of Slurm was checked")
    cause = f"BCM has the Slurm clusters {', '.join(sorted(names))}, and the site file's cluster is {site.cluster}"
    return Finding(ERROR, "wlm", cause, "Name one of them in the site file: cluster: NAME")


def look(site: Site, wlm: WlmCluster, root: Path, excludes: Mapping[str, str] = NONE) -> Seen:
    """The configuration of a WLM cluster, whose files lie below `root`; CannotRead when one cannot be read."""
    etc = root / wlm.etc.lstrip("/")
    slurm, gres, cgroup = (read(etc / f"{name}.conf", root) for name in ("slurm", "gres", "cgroup"))
    return Seen(site, wlm.name, slurm, gres, cgroup, version(wlm.version), excludes)


def version(text: str) -> tuple[int, ...]:
    """The numbers of a version such as `24.11` or `slurm 26.05.2`; none when there are none."""
    match = _VERSION.search(text)
    return tuple(int(number) for number in match.groups() if number) if match else ()
