"""The recording rules: what promtool says of them, and what the command prints. Cases for promtool are in rules/."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bcm_jobstats.simulator.standin_exporters.dcgm_fields import DCGM_FIELDS
from tests.harness import Outcome, run

CASES = sorted(Path(__file__).with_name("rules").glob("*.yaml"))
MODES = ("label", "info", "both")
FILE = "rules/bcm-jobstats.yml"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (package prometheus)"
)


def prometheus(directory: Path, mode: str, *words: str) -> Outcome:
    """`bcm-jobstats prometheus WORDS` for a site with that job_map.mode."""
    site = directory / "site.yaml"
    site.write_text(f"job_map: {{mode: {mode}}}\n")
    outcome = run(directory, "prometheus", *words, "--site", str(site))
    assert outcome.status == 0, outcome.err
    return outcome


def rendered(directory: Path, mode: str) -> Path:
    """A folder with prometheus.yml and, below it, the rules file."""
    (directory / "prometheus.yml").write_text(prometheus(directory, mode, "render").out)
    (directory / FILE).parent.mkdir()
    (directory / FILE).write_text(prometheus(directory, mode, "rules").out)
    return directory


def promtool(directory: Path, *words: str) -> str:
    """What promtool prints; an error when it is not content."""
    done = subprocess.run(["promtool", *words], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules(directory: Path) -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((directory / FILE).read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


@needs_promtool
@pytest.mark.parametrize("mode", MODES)
def test_promtool_takes_the_rules_and_finds_them_from_the_configuration(tmp_path: Path, mode: str) -> None:
    rendered(tmp_path, mode)
    count = 0 if mode == "label" else len(rules(tmp_path))
    assert f"SUCCESS: {count} rules found" in promtool(tmp_path, "check", "rules", "--lint-fatal", FILE)
    told = promtool(tmp_path, "check", "config", "prometheus.yml")
    assert ("SUCCESS: 1 rule files found" in told) == (mode != "label")


@needs_promtool
@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_the_join(tmp_path: Path, case: Path) -> None:
    shutil.copy(rendered(tmp_path, "both") / FILE, tmp_path)
    shutil.copy(case, tmp_path)
    promtool(tmp_path, "test", "rules", case.name)


def test_info_and_both_have_the_same_rules(tmp_path: Path) -> None:
    assert prometheus(tmp_path, "info", "rules").out == prometheus(tmp_path, "both", "rules").out


def test_every_rule_is_the_one_that_the_cases_try_with_another_field_in_it(tmp_path: Path) -> None:
    found = rules(rendered(tmp_path, "info"))
    fields = [re.fullmatch(r"job_gpu:(\w+):join", rule["record"]) for rule in found]
    names = [field[1] for field in fields if field]
    assert len(names) == len(found) == len(set(names))
    assert {rule["expr"].replace(name, "FIELD") for rule, name in zip(found, names)} == {
        "max without (instance, job) (slurm_job_gpu_info) * on (cluster, hostname, gpu, GPU_I_ID) "
        "group_left (UUID, modelName, GPU_I_PROFILE) topk by (cluster, hostname, gpu, GPU_I_ID) (1, FIELD)"
    }
    assert set(names) - {"DCGM_FI_PROF_SM_ACTIVE"} < {field[0] for field in DCGM_FIELDS}


def test_without_an_info_metric_there_are_no_rules_and_that_is_said(tmp_path: Path) -> None:
    outcome = prometheus(tmp_path, "label", "rules")
    assert yaml.safe_load(outcome.out) == {"groups": []}
    assert outcome.err.startswith("No rules: job_map.mode is label")
    assert "rule_files" not in yaml.safe_load(prometheus(tmp_path, "label", "render").out)
    assert prometheus(tmp_path, "info", "rules").err == prometheus(tmp_path, "label", "render").err == ""


def test_a_configuration_with_rules_says_where_they_are_to_be(tmp_path: Path) -> None:
    outcome = prometheus(tmp_path, "info", "render")
    assert yaml.safe_load(outcome.out)["rule_files"] == [FILE]
    assert FILE in outcome.err and "prometheus rules" in outcome.err
    assert f"/etc/prometheus/{FILE}" in re.sub(r"\s+", "", run(tmp_path, "prometheus", "--help").out)


@pytest.mark.parametrize("mode", MODES)
def test_as_json_the_files_are_named(tmp_path: Path, mode: str) -> None:
    for action, name in (("rules", FILE), ("render", "prometheus.yml")):
        text = prometheus(tmp_path, mode, action).out
        assert json.loads(prometheus(tmp_path, mode, action, "--json", "-q").out) == {name: text}
