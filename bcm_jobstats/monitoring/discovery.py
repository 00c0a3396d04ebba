"""How Prometheus finds the targets: every file, the one file of `targets sync`, or `targets serve` (targets.read)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bcm_jobstats.monitoring import compact
from bcm_jobstats.site import Site

LISTEN = "127.0.0.1:9089"
"""Where `targets serve` listens unless told: a port that neither BCM (bcm-facts §9) nor an exporter has by default."""
PATH = "/targets"
ANYWHERE = {"0.0.0.0", "[::]"}  # noqa: S104 - to be recognised, not to listen there
MASTER = "master"
"""The name of the active head node on BCM's nodes (bcm-facts §10)."""
TIMER = "targets.every"


def configured(site: Site, refresh: str) -> dict[str, Any]:
    """The part of a scrape configuration that finds the targets."""
    if site.targets.read == "http":
        return {"http_sd_configs": [{"url": url(site), "refresh_interval": refresh}]}
    one = site.targets.read == "compact"
    files = compact.beside(site.targets.directory, site.cluster) if one else f"{site.targets.directory}/*.json"
    return {"file_sd_configs": [{"files": [files], "refresh_interval": refresh}]}


def url(site: Site) -> str:
    """Where Prometheus finds `targets serve`."""
    if site.targets.url:
        return site.targets.url
    host, _, port = (site.targets.listen or LISTEN).rpartition(":")
    return f"http://{MASTER if host in ANYWHERE else host}:{port}{PATH}"


def warnings(site: Site) -> Iterator[str]:
    """What in the site file will not work as it may be meant; no cluster is needed to see it."""
    if site.prometheus.use_existing and "targets.directory" not in site.origin.lines and site.targets.read != "http":
        yield (
            f"{site.where('prometheus.use_existing')}: an existing Prometheus looks for target files in a directory of "
            f"its own, and targets.directory is not set: {site.targets.directory} is taken"
        )
    if site.targets.read == "compact" and site.targets.every is None:
        yield f"{site.where('targets.read')}: compact is as new as the last `targets sync`: set {TIMER}"
    if site.targets.read == "http" and not (site.targets.listen or site.targets.url):
        yield f"{site.where('targets.read')}: http needs `targets serve`: set targets.listen, or run it and set url"


def notes(site: Site, nodes: int) -> Iterator[str]:
    """What an administrator should know before an apply; `nodes` are those that will register."""
    yield from warnings(site)
    if site.targets.read == "files" and nodes >= compact.MANY:
        yield (
            f"{nodes} nodes register, and Prometheus reads all files anew at each change of one: from {compact.MANY} "
            f"on targets.read: compact (with {TIMER}) is better, then `bcm-jobstats prometheus render` again"
        )
