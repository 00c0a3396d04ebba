"""Two head nodes of a simulated BCM, and the program as a service: it follows the one that is active."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.simulator import Simulator
from bcm_jobstats.stack import agent
from tests.harness import run, until
from tests.node import test_program
from tests.node.test_program import Node, Service

pytestmark = [*test_program.pytestmark, pytest.mark.skipif(os.geteuid() != 0, reason="gives files to a user")]
FIRST, SECOND = "bcm-head-1", "bcm-head-2"
ROLE = "configurationoverlay; use slurm-client; set categories {}; commit"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Simulator]:
    made = Simulator.start(tmp_path / "heads", heads=2, nodes=2, node_kind="paper")
    yield made
    made.stop()


def cmsh(pair: Simulator, line: str) -> None:
    """A change, made on the head that is active."""
    told = process.run(pair.heads()[pair.active] / "cm/local/apps/cmd/bin/cmsh", [line], 60.0).text
    assert "rror" not in told


def test_it_follows_the_active_head(pair: Simulator, tmp_path: Path) -> None:
    """A passive head redirects (bcm-facts §10); what only the new active one was told of is seen."""
    assert run(pair.directory, "certificate", "--for", "role-monitor", "-q").status == 0
    paths = {key: pair.directory / path.lstrip("/") for key, path in
             (("cert_path", agent.CERTIFICATE), ("key_path", agent.KEY), ("ca_path", agent.CA))}  # fmt: skip
    address, _, port = pair.https.rpartition(":")
    node = Node(tmp_path / "node", tmp_path, int(port), bcm_headnodes=[address], **paths)
    with Service(node) as service:
        service.told("role slurmclient: yes; 3 of 3 services run; 1 target files")
        pair.control({"op": "failover"})
        assert pair.active == SECOND
        cmsh(pair, ROLE.format("login"))
        service.told("role slurmclient: no; 0 of 3 services run; 0 target files")
        pair.control({"op": "failover", "to": FIRST})
        cmsh(pair, ROLE.format("dgx-h100"))
        service.told("role slurmclient: yes; 3 of 3 services run; 1 target files")
        pair.control({"op": "failover", "held": True})  # half-way: no head is active
        failed = 'bcm_role_monitor_polls_total{result="unknown"} 3'
        until(lambda: failed in node.textfile.read_text(), 30.0, "three polls have failed")
        assert (node.files(), set(node.ctl.states().values())) == (["dgx-01.json"], {"active"})
        pair.control({"op": "failover", "to": SECOND})
        cmsh(pair, ROLE.format("login"))
        service.told("role slurmclient: no; 0 of 3 services run; 0 target files")
        assert service.stop() == 0
