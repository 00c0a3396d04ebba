"""Prometheus: the part of its configuration that finds our targets, and questions to its API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bcm_jobstats.errors import ExitStatus, JobstatsError
from bcm_jobstats.monitoring import discovery, rules
from bcm_jobstats.site import Site

REFRESH = "5s"
"""Remote writes on NFS raise no inotify event: there the refresh interval counts (design §7). A look at the files of
1,000 nodes costs 12 ms, so 5 s, the step of Prometheus' own discovery, costs nothing that shows."""


class PrometheusUnreachable(JobstatsError):
    """Prometheus gave no usable answer."""

    status = ExitStatus.UNREACHABLE


def configuration(site: Site) -> str:
    """A complete prometheus.yml that scrapes every registered target, with the labels as they were registered.

    The evaluation interval is the scrape interval: jobstats' subqueries are evaluated at it (peers C1).
    """
    import yaml

    interval = str(site.prometheus.scrape_interval)
    document: dict[str, Any] = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        **({"rule_files": [rules.FILE]} if rules.wanted(site) else {}),
        "scrape_configs": [
            {
                "job_name": "jobstats",
                "honor_labels": False,
                **discovery.configured(site, REFRESH),
            }
        ],
    }
    text: str = yaml.safe_dump(document, sort_keys=False)
    return f"# Managed by bcm-jobstats: made with `bcm-jobstats prometheus render`\n{text}"


def up(url: str, timeout: float = 10.0) -> Mapping[tuple[str, str], bool]:
    """(hostname, job) -> whether the last scrape worked, for every target there. Raises PrometheusUnreachable."""
    import requests

    try:
        answer = requests.get(f"{url.rstrip('/')}/api/v1/query", params={"query": "up"}, timeout=timeout)
        answer.raise_for_status()
        series = answer.json()["data"]["result"]
        return {(s["metric"].get("hostname", ""), s["metric"].get("job", "")): s["value"][1] == "1" for s in series}
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise PrometheusUnreachable(
            f"Prometheus at {url}",
            f"gave no usable answer ({type(error).__name__})",
            "Check prometheus.url in the site file.",
        ) from error
