"""How Prometheus finds the targets, and the three scenarios of seed 4's document ("Auto-Configuration Logic")."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bcm_jobstats.monitoring import discovery
from bcm_jobstats.site import load_site
from tests.harness import run

DEFAULT = "/cm/shared/apps/jobstats/prometheus-targets"
OWN = "/srv/prometheus/service-discovery"
SCENARIOS: dict[str, tuple[str, str, bool]] = {
    "new": ("{}", DEFAULT, False),
    "new, with a directory": (f"targets: {{directory: {OWN}}}", OWN, False),
    "existing, with a directory": (f"prometheus: {{use_existing: yes}}\ntargets: {{directory: {OWN}}}", OWN, False),
    "existing, with the default named": (
        f"prometheus: {{use_existing: yes}}\ntargets: {{directory: {DEFAULT}}}", DEFAULT, False,
    ),
    "existing, without a directory": ("prometheus: {use_existing: yes}", DEFAULT, True),
    "existing, over HTTP": ("prometheus: {use_existing: yes}\ntargets: {read: http, url: 'http://x/t'}", "", False),
}  # fmt: skip


def site_file(directory: Path, text: str) -> Path:
    file = directory / "site.yaml"
    file.write_text(text + "\n")
    return file


def scrape(directory: Path, text: str) -> dict[str, Any]:
    """The scrape configuration that `prometheus render` prints."""
    outcome = run(directory, "prometheus", "render", "--site", str(site_file(directory, text)))
    assert outcome.status == 0, outcome.err
    (directory / "prometheus.yml").write_text(outcome.out)
    if shutil.which("promtool"):
        subprocess.run(
            ["promtool", "check", "config", "prometheus.yml"], cwd=directory, check=True, capture_output=True
        )
    (one,) = yaml.safe_load(outcome.out)["scrape_configs"]
    return dict(one)


@pytest.mark.parametrize(("text", "directory", "warned"), SCENARIOS.values(), ids=SCENARIOS)
def test_the_three_scenarios(tmp_path: Path, text: str, directory: str, *, warned: bool) -> None:
    found = json.dumps(scrape(tmp_path, text))
    assert f'"{directory}/*.json"' in found or not directory
    outcome = run(tmp_path, "validate", "--site", str(tmp_path / "site.yaml"))
    assert outcome.status == 0
    assert ("targets.directory is not set" in outcome.err) == warned
    assert ("site.yaml:1: an existing Prometheus" in outcome.err and DEFAULT in outcome.err) == warned
    assert bool(run(tmp_path, "validate", "-q", "--site", str(tmp_path / "site.yaml")).err) is False


URLS = {
    "unset": ("{read: http}", "http://127.0.0.1:9089/targets"),
    "one address": ("{read: http, listen: '10.0.0.1:9000'}", "http://10.0.0.1:9000/targets"),
    "every address": ("{read: http, listen: '0.0.0.0:9000'}", "http://master:9000/targets"),
    "every address, IPv6": ("{read: http, listen: '[::]:9000'}", "http://master:9000/targets"),
    "given": ("{read: http, listen: '0.0.0.0:9000', url: 'https://proxy/t'}", "https://proxy/t"),
}


@pytest.mark.parametrize(("targets", "url"), URLS.values(), ids=URLS)
def test_over_http(tmp_path: Path, targets: str, url: str) -> None:
    (one,) = scrape(tmp_path, f"targets: {targets}")["http_sd_configs"]
    assert one == {"url": url, "refresh_interval": "5s"}


def test_in_one_file_outside_of_the_directory(tmp_path: Path) -> None:
    (one,) = scrape(tmp_path, f"targets: {{read: compact, directory: {OWN}, every: 5m}}")["file_sd_configs"]
    assert one["files"] == ["/srv/prometheus/service-discovery.slurm.compact.json"]


NOTES = {
    "few": ("{}", 299, ""),
    "many": ("{}", 300, "targets.read: compact"),
    "many, compacted": ("targets: {read: compact, every: 5m}", 5000, ""),
    "compacted by hand": ("targets: {read: compact}", 5, "set targets.every"),
    "HTTP that nobody serves": ("targets: {read: http}", 5, "set targets.listen"),
    "HTTP": ("targets: {read: http, listen: '0.0.0.0:9089'}", 5000, ""),
    "HTTP by somebody else": ("targets: {read: http, url: 'http://x/t'}", 5, ""),
}


@pytest.mark.parametrize(("text", "nodes", "word"), NOTES.values(), ids=NOTES)
def test_what_the_plan_notes(tmp_path: Path, text: str, nodes: int, word: str) -> None:
    notes = list(discovery.notes(load_site(site_file(tmp_path, text)), nodes))
    assert len(notes) == bool(word)
    assert word in "".join(notes)
