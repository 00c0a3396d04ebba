"""10,000 nodes: the same plan through every adapter, with as many questions as for ten nodes."""

from __future__ import annotations

import re
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from bcm_jobstats.bcm.entities import Cluster
from tests.bcm.adapters import READERS, adapter, questions
from tests.harness import Outcome, cluster, run

pytestmark = pytest.mark.slow
SITE = "roles: {{jobstats: {{attach: {{with_role: slurmclient}}}}}}\nbcm: {{address: '{}', timeout: 120s}}\n"
FEW, MANY = 10, 10_000
HEADS_AND_LOGINS = 2


@dataclass
class Seen:
    """What one cluster looked like through every adapter."""

    plans: dict[str, Outcome]
    questions: dict[str, int]
    clusters: dict[str, Cluster]


def seen(directory: Path, nodes: int) -> Seen:
    with cluster(directory, profile="bcm11", nodes=nodes) as simulator:
        site = directory / "etc/bcm-jobstats/site.yaml"
        site.parent.mkdir(parents=True)
        site.write_text(SITE.format(simulator.https))
        found = Seen({}, {}, {})
        for way in READERS:
            simulator.control({"op": "reset_log"})
            start = time.monotonic()
            found.plans[way] = run(directory, "plan", "--bcm", way, "--detailed-exitcode")
            seconds, memory = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            found.questions[way] = len(questions(simulator))
            print(f"{nodes:6} nodes, {way:8}: {seconds:5.2f} s, {found.questions[way]} questions, at most {memory} MiB")
            found.clusters[way] = adapter(way, simulator).read(["slurmclient"])
    return found


LARGE = r"Note: \d+ nodes register"


def plan(outcome: Outcome) -> str:
    """The plan without its notes: --bcm rest says what it cannot do and what it assumes."""
    return re.sub(r"(?m)^Note: .*\n", "", outcome.out)


def words(outcome: Outcome) -> str:
    """A plan without the names of nodes and their number, and what is said of large clusters alone."""
    told = re.sub(rf"(?m)^{LARGE}.*\n", "", outcome.out)
    return re.sub(r"\bdgx-[\d.,a-z[\]-]*\d\]?|\b\d+ nodes?\b", "NODES", told)


def test_the_plan_costs_as_many_questions_for_ten_thousand_nodes_as_for_ten(tmp_path: Path) -> None:
    few, many = seen(tmp_path / "few", FEW), seen(tmp_path / "many", MANY)
    assert few.questions == many.questions
    for found, nodes in ((few, FEW), (many, MANY)):
        assert {way: outcome.status for way, outcome in found.plans.items()} == dict.fromkeys(READERS, 2)
        assert len({plan(outcome) for outcome in found.plans.values()}) == 1
        for there in found.clusters.values():
            assert len(there.nodes) == nodes + HEADS_AND_LOGINS
            assert there == found.clusters["rest"]
    assert [bool(re.search(LARGE, found.plans["cmsh"].out)) for found in (few, many)] == [False, True]
    assert words(few.plans["cmsh"]) == words(many.plans["cmsh"])
