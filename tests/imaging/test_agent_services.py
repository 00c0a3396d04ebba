"""With enable.mode role-monitor CMDaemon knows one service, the agent: that is checked, restarted and compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcm_jobstats.imaging import asbefore, nodecheck, updates
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.trees import DEFAULT_MANIFEST, Tree
from bcm_jobstats.plan.resource import Resource
from bcm_jobstats.site import load_site
from bcm_jobstats.stack import Stack, agent, load_definitions
from bcm_jobstats.stack.files import UNITS

UNIT = f"{UNITS}/node_exporter.service"
BINARY = "/usr/local/bin/node_exporter"


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    site, definitions = tmp_path / "site.yaml", load_definitions()
    site.write_text("enable: {mode: role-monitor}\n")
    return Stack(load_site(site, definitions), definitions)


def test_exporters_are_looked_at_as_the_agent_runs_them(stack: Stack, tmp_path: Path) -> None:
    """Where CMDaemon does not run it yet, they are tried out as ever."""
    manifest = Manifest(tmp_path, DEFAULT_MANIFEST)
    assert nodecheck.checks(stack, manifest, "10.0").services == ()
    manifest.entries = {file.path: {} for file in stack.payload(["jobstats"])}
    checks = nodecheck.checks(stack, manifest, "10.0")
    assert checks.services == (agent.SERVICE,)
    running = checks.check([agent.SERVICE], 20, 5, last=False).split()
    assert f"kept=node_exporter:9100:{agent.SERVICE}" in running
    assert f"service={agent.SERVICE}:-" in running
    assert not [word for word in running if word.startswith(("trial=", "service=node"))]
    assert "trial=node_exporter:9100" in checks.check([], 20, 5, last=False).split()
    (word,) = checks.reload().split(" reload ")[1].split()
    assert word.startswith(f"{agent.SERVICE}:") and f":{UNIT[1:]}" in word and f":{BINARY[1:]}" in word


def test_a_changed_unit_of_an_exporter_restarts_the_agent(stack: Stack) -> None:
    one = [Resource("file", f"image:{UNIT}", {"content": "a"})]
    other = [Resource("file", f"image:{UNIT}", {"content": "b"})]
    digests = [updates.of_resources(stack, resources) for resources in (one, other)]
    assert all(set(each) == {"payload", agent.SERVICE} for each in digests)
    assert digests[0][agent.SERVICE] != digests[1][agent.SERVICE]


@pytest.mark.parametrize("path", [UNIT, BINARY, agent.PROGRAM, agent.CONFIG])
def test_what_an_image_before_had_otherwise_is_the_agent_s(stack: Stack, tmp_path: Path, path: str) -> None:
    trees = [Tree(name, tmp_path / name, f"/cm/images/{name}") for name in ("now", "before")]
    for tree in trees:
        file = tree.root / path[1:]
        file.parent.mkdir(parents=True)
        file.write_text(tree.name)
    assert asbefore.changed_services(stack, trees[0], trees[1]) == [agent.SERVICE]
    assert asbefore.changed_services(stack, trees[0], trees[0]) == []
