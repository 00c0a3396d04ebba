"""The agent as a payload: the same bytes everywhere, and a configuration that the agent itself reads as it is meant."""

from __future__ import annotations

import ast
import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import bcm_jobstats
from bcm_jobstats.node import registration
from bcm_jobstats.node.config import load
from bcm_jobstats.site import load_site
from bcm_jobstats.stack import Stack, agent, load_definitions
from bcm_jobstats.stack.files import LIBRARY

CODE = "import sys; from bcm_jobstats.stack import agent; sys.stdout.buffer.write(agent.program())"
SITE = """\
cluster: pod
enable: {mode: role-monitor}
roles: {jobstats: , dcgm-exporter: {attach: {with_role: slurmclient}}}
targets: {directory: /srv/prometheus/targets}
exporters: {node_exporter: {port: 9101}}
bcm: {address: "bcm:8443"}
role_monitor: {check_interval: 90s, max_retries: 5, server_name: master, share: false}
"""


def stack(tmp_path: Path, text: str = SITE) -> Stack:
    file = tmp_path / "site.yaml"
    file.write_text(text)
    definitions = load_definitions()
    return Stack(load_site(file, definitions), definitions)


def test_the_program_is_the_same_from_any_place_at_any_time(tmp_path: Path) -> None:
    there = tmp_path / "site-packages/bcm_jobstats"
    shutil.copytree(
        Path(bcm_jobstats.__file__).parent, there, ignore=shutil.ignore_patterns("__pycache__", "simulator")
    )
    for name in ("scripts", "overlays", "images"):
        shutil.copytree(Path(bcm_jobstats.__file__).parents[1] / name, there / "data" / name)
    for path in there.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    environment = {**os.environ, "PYTHONPATH": str(there.parent), "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True, cwd="/", env=environment)
    assert done.stdout == agent.program() == agent.program()


def test_the_program_holds_the_agent_and_nothing_else() -> None:
    content = agent.program()
    assert content.startswith(b"#!/usr/bin/python3 -IS\n# Managed by bcm-jobstats")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        assert {entry.date_time for entry in archive.infolist()} == {agent.LONG_AGO}
    top = {"__main__.py", "bcm_jobstats/__init__.py", "bcm_jobstats/errors.py"}
    assert top <= set(names)
    assert all(name.startswith("bcm_jobstats/node/") for name in set(names) - top)
    assert len(names) == len(set(names))


def test_the_files_are_where_they_are_said_to_be(tmp_path: Path) -> None:
    made = stack(tmp_path)
    files = agent.files(made.site, made.roles(), ["bcm-1"])
    assert sorted(file.path for file in files) == sorted(agent.FILES)
    modes = {file.path: file.mode for file in files}
    assert {path for path, mode in modes.items() if mode == 0o755} == {
        agent.PROGRAM,
        f"{LIBRARY}/role-monitor-orders",
    }
    assert {file.owner for file in files} == {"0:0"}


def test_the_agent_reads_its_configuration_as_the_site_means_it(tmp_path: Path) -> None:
    made = stack(tmp_path)
    file = tmp_path / "config.json"
    file.write_bytes(agent.config(made.site, made.roles(), ["bcm-1", "bcm-2"]))
    config = load(file)
    assert config.warnings == ()
    assert (config.heads, config.port, config.server_name) == (("bcm-1", "bcm-2"), 8443, "master")
    assert (config.role, config.cluster, str(config.targets)) == ("slurmclient", "pod", "/srv/prometheus/targets")
    assert (config.check_interval, config.retry_interval, config.slow_retry_interval) == (90, 600, 3600)
    assert (config.max_retries, config.share) == (5, False)
    assert [str(path) for path in (config.certificate, config.key, config.ca)] == [
        f"/cm/shared/apps/jobstats/role-monitor/{name}" for name in ("role-monitor.pem", "role-monitor.key", "ca.pem")
    ]
    assert str(config.textfile) == agent.TEXTFILE
    files = registration.files("dgx-01", config.cluster, config.exporters)
    assert files == dict(made.target_file("dgx-01", role.name) for role in made.roles())


def test_without_head_nodes_the_agent_asks_the_master(tmp_path: Path) -> None:
    made = stack(tmp_path)
    file = tmp_path / "config.json"
    file.write_bytes(agent.config(made.site, made.roles(), []))
    assert load(file).heads == ("master",)


def test_an_older_python_is_told_what_it_is(tmp_path: Path) -> None:
    """In words that it reads, and with a status for which systemd does not start it again."""
    source = Path(bcm_jobstats.__file__).with_name("node") / "__main__.py"
    ast.parse(source.read_text(), feature_version=(3, 4))
    assert f"sys.version_info < {agent.LEAST}" in source.read_text()
    code = f"import runpy, sys; sys.version_info = (3, 8); runpy.run_path({str(source)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (agent.TOO_OLD, "", 1)
    assert "older than 3.9" in done.stderr
