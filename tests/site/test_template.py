"""The template and the reference say what loading does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bcm_jobstats.site import Site, load_site, reference, template
from bcm_jobstats.stack import load_definitions


def loaded(tmp_path: Path, text: str) -> Site:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return load_site(path, load_definitions())


def test_as_it_is_the_template_means_all_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path, template()) == Site()


def test_its_commented_settings_are_the_defaults(tmp_path: Path) -> None:
    """Every '#setting: value' taken into use, but for the examples of what is unset or named by the administrator."""
    lines = template().splitlines()
    active = [re.sub(r"^( *)#(?=\w)", r"\1", line) for line in lines if "an example" not in line]
    active = [line for line in active if not line.startswith(("  dcgm-exporter: {", "  node_exporter: {"))]
    assert len([line for line in active if line in lines]) < len(active) - 8, "nothing was taken into use"
    assert loaded(tmp_path, "\n".join(active)) == Site()


def test_its_examples_are_valid(tmp_path: Path) -> None:
    text = template({"roles": {"jobstats": {"attach": {"manual": True}}}})
    site = loaded(tmp_path, re.sub(r"(?m)^( *)#(?=\w)", r"\1", text))
    assert site.roles["jobstats"].priority == 510
    assert "dcgm-exporter" in site.roles
    assert site.exporters["node_exporter"].port == 9101


VALUES: list[dict[str, Any]] = [
    {"cluster": "dgx"},
    {"roles": {"jobstats": {"attach": {"categories": ["dgx"], "nodes": ["dgx-[01-04]"]}, "priority": 510}}},
    {
        "roles": {"dcgm-exporter": {"enabled": True}},
        "exporters": {"node_exporter": {"arguments": ["--a=b c", "#x: y"]}},
    },
    {"prometheus": {"url": "http://prom:9090", "scrape_interval": "15s"}, "user": {"uid": 500}},
    {"roles": {"dcgm-exporter": {}}, "exporters": {}},
    {"recipes": {"login": "login"}, "rollout": {"wave": "5%", "max_failures": 2, "test_job": "srun -w {node} true"}},
    {
        "artifacts": {
            "dcgm-exporter": {
                "version": "4.8.2-1",
                "mode": "0755",
                "x86_64": {"package": "x", "from": "/root/x.deb", "unchecked": True},
            }
        }
    },
]


@pytest.mark.parametrize("values", VALUES)
def test_values_given_are_set_and_nothing_else(tmp_path: Path, values: dict[str, Any]) -> None:
    from_template = loaded(tmp_path, template(values))
    assert from_template == loaded(tmp_path, yaml.safe_dump(values))
    assert from_template != Site()


def test_every_setting_is_in_the_reference_and_its_word_in_the_template() -> None:
    rows = {row.path: row for row in reference()}
    assert rows["prometheus.scrape_interval"].default == "30s"
    assert rows["roles.<name>.priority"].default == "unset"
    assert rows["user.uid"].what == "a system user's number from 100 to 999"
    assert "exporters.<name>.cpu" in rows
    assert rows["artifacts.<name>.version"].default == "required"
    assert rows["artifacts.<name>.aarch64.from"].default == "unset"
    assert (rows["artifacts.<name>.mode"].default, rows["rollout.wave"].default) == ("0755", "10%")
    assert all(row.doc.endswith(".") for row in rows.values())
    for path, row in rows.items():
        assert "<name>" in path or ".attach" in path or row.doc in template()


def test_importing_the_package_reads_no_yaml_and_no_jinja2() -> None:
    code = (
        "import sys, bcm_jobstats.site, bcm_jobstats.stack; print([m for m in ('yaml', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
