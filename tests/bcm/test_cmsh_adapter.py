"""The cmsh adapter's own: how many processes it starts, and what it does when it cannot try anything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Callable

from bcm_jobstats.bcm.capabilities import can_assign_generic_role
from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.bcm.cmsh.adapter import CmshBcm
from bcm_jobstats.bcm.entities import Overlay
from bcm_jobstats.bcm.port import PROBE_ROLE
from bcm_jobstats.simulator import Simulator
from tests.harness import cluster, cmsh

ROLE = "generic::jobstats"
NAMES = {4: ["dgx-01", "dgx-02", "dgx-03", "dgx-04"], 400: [f"dgx-{number:03}" for number in range(1, 401)]}


def test_the_number_of_cmsh_processes_does_not_depend_on_the_number_of_nodes(tmp_path: Path) -> None:
    counted = {size: processes(tmp_path / str(size), names) for size, names in NAMES.items()}
    assert counted[4] == counted[400]
    assert counted[4] == {"read": 2, "every_node": 2, "with_role": 3, "save": 2, "states": 1, "update": 1}


def processes(directory: Path, names: list[str]) -> dict[str, int]:
    with cluster(directory, nodes=len(names)) as simulator:
        bcm = CmshBcm(simulator.cmsh, 60.0)
        many = Overlay("many", nodes=tuple(names))
        calls: dict[str, Callable[[], object]] = {
            "read": lambda: bcm.read(["slurmclient"]),
            "every_node": lambda: bcm.read(["slurmclient"], every_node=True),
            "save": lambda: bcm.save_overlay(None, many),
            "states": lambda: bcm.service_states(names),
            "update": lambda: bcm.update_nodes("dgx-h100"),
        }
        counts = {}
        for what, call in calls.items():
            counts[what] = started(simulator, call)
        cmsh(simulator, f"configurationoverlay; use many; roles; assign {ROLE}; set services x; commit")
        counts["with_role"] = started(simulator, lambda: bcm.read(["slurmclient", ROLE]))
        found = bcm.read()
        assert found.overlays["many"].nodes == tuple(names)
        assert len(found.nodes) == len(names) + 2
        return counts


def started(simulator: Simulator, call: Callable[[], object]) -> int:
    """How many cmsh processes a call starts."""
    simulator.control({"op": "reset_log"})
    call()
    return sum("argv" in entry for entry in simulator.control({"op": "log"})["result"])


def test_a_script_too_long_for_an_argument_is_sent_all_the_same(tmp_path: Path) -> None:
    with cluster(tmp_path / "head") as simulator:
        many = ["configurationoverlay get slurm-client priority"] * 4000
        assert len("; ".join(many)) > process.LONGEST_ARGUMENT
        answer = process.run(simulator.cmsh, many, 60.0)
        assert answer.text.splitlines() == ["500"] * 4000


def test_the_probe_stands_on_a_default_where_there_is_nothing_to_try_it_on(tmp_path: Path) -> None:
    with cluster(tmp_path / "head") as simulator:
        bcm = CmshBcm(simulator.cmsh, 30.0)
        found = bcm.read()
        assert can_assign_generic_role(bcm, replace(found, overlays={}, categories={}))
        simulator.control({"op": "switch", "name": "generic_assign", "value": "no"})
        assert not can_assign_generic_role(bcm, found)
        assert PROBE_ROLE not in json.dumps(simulator.state())
