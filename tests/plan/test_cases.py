"""Every plan case, as data in tests/assets/plans: planned, applied, applied again, destroyed, rolled back, killed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from bcm_jobstats.simulator import Simulator
from tests.harness import Outcome, cluster, cmsh, killed_after, run, snapshot, writes_of

CASES = sorted((Path(__file__).parents[1] / "assets/plans").glob("*.yaml"))
NOT_REFUSED = [path for path in CASES if not {"conflicts", "problems", "error"} & set(yaml.safe_load(path.read_text()))]
KILLED = [path for path in CASES if yaml.safe_load(path.read_text()).get("killed")]
TO_BCM = [path for path in NOT_REFUSED if path not in KILLED and not path.stem.startswith(("hooks-", "conf-"))]
EVERY_KILL = bool(os.environ.get("BCM_JOBSTATS_KILLS"))
"""Kill after every single write, which takes half an hour; else after some, from other ones on in each case."""
WAYS = ("cmsh", "pythoncm")
"""The ways to BCM that write."""


class Prepared:
    """A case with its simulated cluster."""

    def __init__(self, case: Mapping[str, Any], simulator: Simulator) -> None:
        self.case = case
        self.simulator = simulator
        self.root = simulator.directory
        for script in case.get("prepare", ()):
            cmsh(simulator, script)
        self.write(case.get("files", {}))
        self.link(case.get("links", {}))
        address = (self.root / "cmd/https").read_text().strip()
        bcm = "" if "bcm:" in case["site"] else f"bcm: {{address: '{address}'}}\n"
        self.write({"etc/bcm-jobstats/site.yaml": case["site"] + bcm})
        self.adopt = ["--adopt"] if case.get("adopt") else []

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def link(self, links: Mapping[str, str]) -> None:
        for name, target in links.items():
            (self.root / name).unlink(missing_ok=True)
            (self.root / name).symlink_to(target)

    def run(self, *words: str) -> Outcome:
        return run(self.root, *words)

    def apply(self, way: str = "auto") -> None:
        outcome = self.run("apply", "--yes", "-q", "--bcm", way, *self.adopt)
        assert outcome.status == 0, outcome.err

    def plan(self, way: str = "auto") -> dict[str, Any]:
        return json.loads(self.run("plan", "--json", "--bcm", way, *self.adopt).out)  # type: ignore[no-any-return]


@pytest.fixture
def prepared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Prepared]:
    case = yaml.safe_load(request.param.read_text())
    settings = {"switches": case.get("switches", {}), "profile": case.get("profile", "bcm10")}
    with cluster(tmp_path / "head", **settings) as simulator:
        yield Prepared(case, simulator)


def over(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("prepared", paths, ids=[path.stem for path in paths], indirect=True)


def marks(plan: Mapping[str, Any]) -> list[str]:
    """The changes of a case; those of cmsh's own commands are the same everywhere (tests/enable)."""
    signs = {"create": "+", "update": "~", "adopt": "~", "delete": "-"}
    return sorted(
        f"{signs[change['action']]} {change['address']}"
        for change in plan["changes"]
        if not change["address"].startswith("command.")
    )


@over(CASES)
def test_the_plan_is_as_the_case_says_and_changes_nothing(prepared: Prepared) -> None:
    case, before = prepared.case, snapshot(prepared.root)
    if "error" in case:
        outcome = prepared.run("plan")
        assert outcome.status == case["error"]["status"]
        assert [text for text in case["error"]["says"] if text not in outcome.err] == []
        return
    plan = prepared.plan()
    check(plan, case, "plan")
    assert sorted(conflict["address"] for conflict in plan["conflicts"]) == sorted(case.get("conflicts", []))
    assert [text for text in case.get("problems", []) if not any(text in said for said in plan["problems"])] == []
    assert bool(plan["problems"]) == bool(case.get("problems"))
    if not case.get("then"):
        assert [text for text in case.get("notes", []) if not any(text in said for said in plan["notes"])] == []
    after = {change["address"]: change["after"] for change in plan["changes"]}
    for address, values in case.get("values", {}).items():
        assert after[address] == values
    assert snapshot(prepared.root) == before


def check(plan: Mapping[str, Any], case: Mapping[str, Any], what: str) -> None:
    found = marks(plan)
    if what in case:
        assert found == sorted(case[what])
    assert [mark for mark in case.get(f"{what}_has", []) if mark not in found] == []
    assert [mark for mark in found for lacking in case.get(f"{what}_lacks", []) if lacking in mark] == []
    for mark, count in case.get(f"{what}_count", {}).items():
        assert found.count(mark) == count


@over([path for path in CASES if path not in NOT_REFUSED])
def test_what_cannot_be_applied_changes_nothing(prepared: Prepared) -> None:
    before = snapshot(prepared.root)
    outcome = prepared.run("apply", "--yes")
    assert outcome.status in {1, 65}
    assert "bcm-jobstats: " in outcome.err
    assert snapshot(prepared.root) == before
    assert prepared.run("generations", "--json").out.strip() == "[]"


@over(NOT_REFUSED)
def test_after_apply_there_is_nothing_to_do_and_destroy_leaves_no_trace(
    request: pytest.FixtureRequest, prepared: Prepared
) -> None:
    """Through cmsh and through pythoncm: the same plan, the same end, and each finds nothing to do after the other. The
    cases about hooks and slurm.conf do the same in BCM: cmsh alone."""
    before = snapshot(prepared.root)
    ways = WAYS if prepared.case.get("switches", {}).get("pythoncm") != "none" else ("auto",)
    if request.node.callspec.params["prepared"].stem.startswith(("hooks-", "conf-")):
        ways = ("auto",)
    # cmsh says which names it cannot ask about; pythoncm can.
    plans = [{key: value for key, value in prepared.plan(way).items() if key != "notes"} for way in ways]
    ends = []
    for way in ways:
        prepared.apply(way)
        ends.append(snapshot(prepared.root))
        for other in (*ways, "rest"):
            again = prepared.run("plan", "--detailed-exitcode", "--bcm", other)
            last = again.out.splitlines()[-1]
            assert (again.status, last) == (0, "No changes. The cluster matches the configuration."), other
        outcome = prepared.run("destroy", "--yes", "-q", "--bcm", way)
        assert outcome.status == 0, outcome.err
        assert snapshot(prepared.root) == before, way
    assert plans == [plans[0]] * len(ways)
    assert ends == [ends[0]] * len(ways)


@over(NOT_REFUSED)
def test_rollback_brings_the_state_before(prepared: Prepared) -> None:
    before = snapshot(prepared.root)
    prepared.apply()
    outcome = prepared.run("rollback", "--yes", "-q")
    assert outcome.status == 0, outcome.err
    assert snapshot(prepared.root) == before


@over([path for path in NOT_REFUSED if "then" in yaml.safe_load(path.read_text())])
def test_what_an_administrator_changes_is_kept_or_named_as_drift(prepared: Prepared) -> None:
    case = prepared.case
    prepared.apply()
    for script in case["then"]:
        cmsh(prepared.simulator, script)
    prepared.write(case.get("then_files", {}))
    prepared.link(case.get("then_links", {}))
    drifted = snapshot(prepared.root)
    plan = prepared.plan()
    check(plan, case, "drift")
    assert prepared.run("drift").status == (2 if plan["changes"] else 0)
    assert [text for text in case.get("notes", []) if not any(text in said for said in plan["notes"])] == []
    assert snapshot(prepared.root) == drifted
    prepared.apply()
    assert prepared.run("drift").status == 0
    prepared.run("destroy", "--yes", "-q")
    overlays = prepared.simulator.state()["configurationoverlay"]
    assert sorted({"jobstats"} & set(overlays)) == case.get("destroy_keeps", [])
    for name in case.get("destroy_keeps", []):
        assert "bcm-jobstats" not in json.dumps(overlays[name])


@pytest.mark.slow
@over(KILLED)
def test_a_run_killed_after_any_write_is_completed_by_the_next(
    request: pytest.FixtureRequest, prepared: Prepared
) -> None:
    """After every third write in one case; in the others after every tenth, each from another one on."""
    stem = request.node.callspec.params["prepared"].stem
    first = 1 + 2 * ([path.stem for path in KILLED].index(stem) % 5)
    step = {"first": 1, "every": 3} if stem == "with-role" else {"first": first, "every": 10}
    assert kills(prepared, files=True, **step) > 4, "the count counts nothing"


@pytest.mark.slow
@over(TO_BCM)
def test_a_run_killed_after_any_write_to_bcm_is_completed_by_the_next(
    request: pytest.FixtureRequest, prepared: Prepared
) -> None:
    """The files of every case are written by the same code; what differs is what is done in BCM, and that is the same
    in the cases about hooks and slurm.conf. After every fourth write, in each case from another one on."""
    stem = request.node.callspec.params["prepared"].stem
    first = 1 + [path.stem for path in TO_BCM].index(stem) % 4
    assert kills(prepared, files=False, first=first, every=4) > 1, "the count counts nothing"


def kills(prepared: Prepared, *, files: bool, first: int = 1, every: int = 1) -> int:
    """Kill `apply` after each write in turn, at least after one; returns how many writes it makes."""
    before = snapshot(prepared.root)
    total = writes_of(prepared.root, "apply", "--yes", "-q", *prepared.adopt, files=files)
    wanted = snapshot(prepared.root)
    assert prepared.run("destroy", "--yes", "-q").status == 0
    first, every = (1, 1) if EVERY_KILL else (min(first, total), every)
    for writes in range(first, total + 1, every):
        killed = killed_after(writes, prepared.root, "apply", "--yes", "-q", *prepared.adopt, files=files)
        prepared.apply()
        assert snapshot(prepared.root) == wanted, f"after {writes} writes"
        outcome = prepared.run("destroy", "--yes", "-q")
        assert outcome.status == 0, outcome.err
        assert snapshot(prepared.root) == before, f"after {writes} writes"
        # The first run made directories that stay.
        assert killed or writes > first, "nothing was killed"
    return total


@pytest.mark.slow
@over([path for path in KILLED if path.stem == "with-role"])
def test_a_destroy_killed_after_any_write_is_completed_by_the_next(prepared: Prepared) -> None:
    before = snapshot(prepared.root)
    prepared.apply()
    total = writes_of(prepared.root, "destroy", "--yes", "-q")
    assert total > 4, "the count counts nothing"
    for writes in range(1, total + 1, 1 if EVERY_KILL else 4):
        prepared.apply()
        killed_after(writes, prepared.root, "destroy", "--yes", "-q")
        outcome = prepared.run("destroy", "--yes", "-q")
        assert outcome.status == 0, outcome.err
        assert snapshot(prepared.root) == before, f"after {writes} writes"
