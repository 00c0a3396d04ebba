"""Puts the product and Debian's Prometheus on the head node of a lab, as an administrator does it there by hand."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from bcm_jobstats.simulator.lab.pod import Pod
from bcm_jobstats.simulator.layout import HEAD

HOME = "opt/bcm-jobstats"
_COMMAND = '#!/bin/sh\nPYTHONPATH=/opt/bcm-jobstats exec python3 -m bcm_jobstats "$@"\n'
_PARTS = ("bcm_jobstats", "overlays", "images", "scripts")
_SITE = "etc/bcm-jobstats/site.yaml"


def install_product(pod: Pod) -> None:
    """Copy this very package to the head node, with the command ``bcm-jobstats`` for it."""
    top = Path(__file__).resolve().parents[3]
    home = pod.directory / HOME
    shutil.rmtree(home, ignore_errors=True)
    for part in _PARTS:
        if (top / part).is_dir():  # an installed package has the others inside itself
            shutil.copytree(top / part, home / part, ignore=shutil.ignore_patterns("__pycache__"))
    command = pod.directory / "usr/local/bin/bcm-jobstats"
    command.write_text(_COMMAND, encoding="utf-8")
    command.chmod(0o755)


def write_site(pod: Pod) -> None:
    """The site file that `init` proposes, with what it cannot see: where Prometheus is."""
    site, fresh = pod.directory / _SITE, pod.directory / f"{_SITE}.new"
    if site.exists():
        return
    fresh.unlink(missing_ok=True)
    pod.run(HEAD, "bcm-jobstats", "--site", f"/{_SITE}.new", "init")
    text = fresh.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^prometheus:$", f"prometheus:\n  url: http://{HEAD}:9090", text)
    fresh.write_text(text, encoding="utf-8")
    fresh.rename(site)  # half written it would be kept by the next `up`


def start_prometheus(pod: Pod) -> None:
    """Run Prometheus with the configuration that the product renders, but every second: a lab does not wait."""
    text = pod.run(HEAD, "bcm-jobstats", "prometheus", "render")
    rules = pod.directory / "etc/prometheus/rules/bcm-jobstats.yml"
    rules.parent.mkdir(exist_ok=True)
    rules.write_text(pod.run(HEAD, "bcm-jobstats", "prometheus", "rules"), encoding="utf-8")
    text = re.sub(r"(scrape_interval|scrape_timeout|evaluation_interval|refresh_interval): \S+", r"\1: 1s", text)
    (pod.directory / "etc/prometheus/prometheus.yml").write_text(text, encoding="utf-8")
    pod.run(HEAD, "systemctl", "restart", "prometheus", "prometheus-alertmanager")


def complete(pod: Pod) -> bool:
    """Whether the product finds every role's services up, registered and scraped on every node."""
    told = pod.call(HEAD, "bcm-jobstats", "status", "--json", "--quiet").stdout
    try:
        rows = json.loads(told)
    except ValueError:  # it could not ask, and said why
        return False
    return bool(rows) and all(row["ok"] for row in rows)
