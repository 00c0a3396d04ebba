"""bcm-jobstats role-monitor: what it says of a deployment, and that it is the agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness import cluster, run

SEED = {
    "cluster_name": "pod",
    "prometheus_targets_dir": "/srv/prometheus/targets",
    "use_existing_prometheus": True,
    "systems": {"dgx_nodes": ["dgx-01", "nowhere"], "prometheus_server": ["prometheus"]},
}


def test_the_command_of_seed_4_says_what_it_means_here(tmp_path: Path) -> None:
    with cluster(tmp_path) as simulator:
        root = simulator.directory
        before = sorted(root.glob("etc/**/*"))
        (tmp_path / "config.json").write_text(json.dumps(SEED))
        outcome = run(root, "--json", "role-monitor", "deploy", "--config", str(tmp_path / "config.json"))
        told = json.loads(outcome.out)
        assert outcome.status == 0
        assert told["site"] == {
            "enable": {"mode": "role-monitor"},
            "cluster": "pod",
            "targets": {"directory": "/srv/prometheus/targets"},
        }
        known, unknown = told["nodes"]
        assert known["node"] == "dgx-01" and known["category"] and known["image"]
        assert unknown == {"node": "nowhere"}
        assert "bcm-jobstats certificate --for role-monitor" in told["commands"]
        words = ["--dgx-nodes", "dgx-01", "--prometheus-targets-dir", "/elsewhere"]
        text = run(root, "role-monitor", "deploy", *words).out
        assert '{"directory": "/elsewhere"}' in text
        assert f"dgx-01: category {known['category']}, image {known['image']}" in text
        assert sorted(root.glob("etc/**/*")) == before, "it changes nothing"


def test_without_bcm_it_says_so_and_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    outcome = run(tmp_path, "role-monitor", "deploy", "--dgx-nodes", "dgx-01")
    assert outcome.status == 0
    assert "BCM was not asked" in outcome.out and '{"mode": "role-monitor"}' in outcome.out


@pytest.mark.parametrize("content", ["{", "[]", '"x"'])
def test_a_configuration_that_is_none_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    outcome = run(tmp_path, "role-monitor", "deploy", "--config", str(tmp_path / "config.json"))
    assert outcome.status == 1
    assert "guided setup" in outcome.err


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["--json"], 64, "goes with --once"),
        (["--dgx-nodes", "dgx-01"], 64, "goes with deploy"),
        (["--once"], 65, "etc/bcm-role-monitor/config.json"),
        (["--prometheus-targets-dir", "here", "--once"], 64, "not an absolute path"),
        (["undeploy"], 64, "invalid choice"),
    ],
)
def test_it_is_the_agent_with_its_statuses(tmp_path: Path, words: list[str], status: int, text: str) -> None:
    outcome = run(tmp_path, "role-monitor", *words)
    assert (outcome.status, outcome.out) == (status, "")
    assert text in outcome.err
