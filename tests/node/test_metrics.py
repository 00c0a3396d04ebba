"""The agent's metrics as Prometheus takes them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bcm_jobstats import __version__
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.node.metrics import Metrics
from bcm_jobstats.node.outcome import Outcome

OUTCOME = Outcome(
    host="node001",
    role="slurmclient",
    has=True,
    since=1.0,
    wait=50.0,
    services={"node_exporter": "active", "cgroup_exporter": "failed"},
    targets={"node001.json": True, "node001+dcgm-exporter.json": False},
)
EXPECTED = f"""\
bcm_role_monitor_build_info{{version="{__version__}"}} 1
bcm_role_monitor_last_success_timestamp_seconds 1800000000.250
bcm_role_monitor_polls_total{{result="success"}} 1
bcm_role_monitor_polls_total{{result="unknown"}} 2
bcm_role_monitor_role_present{{role="slurmclient"}} 1
bcm_role_monitor_service_active{{service="cgroup_exporter"}} 0
bcm_role_monitor_service_active{{service="node_exporter"}} 1
bcm_role_monitor_service_attempts{{service="cgroup_exporter"}} 4
bcm_role_monitor_service_attempts{{service="node_exporter"}} 0
bcm_role_monitor_target_written{{file="node001+dcgm-exporter.json"}} 0
bcm_role_monitor_target_written{{file="node001.json"}} 1
"""


def counted(path: Path | None) -> Metrics:
    metrics = Metrics(path)
    metrics.unanswered()
    metrics.unanswered()
    metrics.answered(1_800_000_000.25)
    return metrics


def promtool(text: str) -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False, timeout=60
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_file(tmp_path: Path) -> None:
    path = tmp_path / "role_monitor.prom"
    counted(path).write(OUTCOME, {"cgroup_exporter": 4, "gone": 1})
    text = path.read_text()
    assert [line for line in text.splitlines() if not line.startswith("#")] == EXPECTED.splitlines()
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]
    promtool(text)


def test_what_is_not_known_is_not_told() -> None:
    nothing = Outcome(host=None, role="slurmclient", has=None, since=None, wait=1.0)
    text = Metrics(None).text(nothing, {})
    assert "role_present" not in text
    assert "last_success" not in text
    assert "target_written" not in text
    promtool(text)


def test_a_strange_label_is_escaped() -> None:
    strange = Outcome(host="x", role='a"b\\c\nd', has=False, since=None, wait=1.0)
    text = Metrics(None).text(strange, {})
    assert 'role_present{role="a\\"b\\\\c\\nd"} 0' in text
    promtool(text)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(JobstatsError, match="cannot be written: no such file"):
        counted(tmp_path / "none" / "x.prom").write(OUTCOME, {})


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "x.prom"
    for link in (path, tmp_path / f".x.prom.{os.getpid()}"):
        link.symlink_to(victim)
    counted(path).write(OUTCOME, {})
    assert path.is_file() and not path.is_symlink()
    assert not victim.exists()


def test_none_wanted() -> None:
    counted(None).write(OUTCOME, {})
