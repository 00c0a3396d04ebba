"""Every way to a new generic role: the forms of `assign`, pythoncm, services, Base View by hand (bcm-facts §13 #1)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.simulator import Simulator
from tests.harness import Snapshot, cluster, cmsh, run, snapshot

ROLE = "generic::jobstats"
PLACE = "overlay/slurm-client"


def started(directory: Path, mode: str, **switches: str) -> Any:
    """A cluster whose site file says how services are enabled."""
    site = directory / "etc/bcm-jobstats/site.yaml"
    site.parent.mkdir(parents=True)
    site.write_text(f"enable: {{mode: {mode}}}\n")
    return cluster(directory, switches=switches)


def roles(simulator: Simulator) -> dict[str, Any]:
    overlay = simulator.state()["configurationoverlay"]["slurm-client"]
    return {name: role["values"] for name, role in overlay["children"]["roles"].items()}


def applied_and_destroyed(simulator: Simulator, before: Snapshot) -> None:
    """The role is there with its services; a second apply has nothing to do; destroy leaves no trace."""
    assert sorted(roles(simulator)[ROLE]["services"]) == [
        "cgroup_exporter", "jobstats-target", "node_exporter", "nvidia_gpu_exporter",
    ]  # fmt: skip
    assert run(simulator.directory, "plan", "--detailed-exitcode").status == 0
    assert run(simulator.directory, "destroy", "--yes", "-q").status == 0
    assert snapshot(simulator.directory) == before


@pytest.mark.parametrize("form", ["yes", "typed", "class"])
@pytest.mark.parametrize("uncommitted", ["discard", "keep"])
def test_cmsh_finds_the_form_that_works(tmp_path: Path, form: str, uncommitted: str) -> None:
    """bcm-facts §13 #1."""
    with started(tmp_path, "generic-role", generic_assign=form, uncommitted=uncommitted, pythoncm="none") as simulator:
        before = snapshot(simulator.directory)
        outcome = run(simulator.directory, "apply", "--yes", "-q")
        assert outcome.status == 0, outcome.err
        applied_and_destroyed(simulator, before)


@pytest.mark.parametrize("mode", ["generic-role", "auto"])
@pytest.mark.parametrize("name", ["prefixed", "bare"])
def test_pythoncm_makes_the_role_where_cmsh_cannot(tmp_path: Path, mode: str, name: str) -> None:
    """bcm-facts §13 #1, §13 #7."""
    with started(tmp_path, mode, generic_assign="no", json_generic_name=name) as simulator:
        before = snapshot(simulator.directory)
        outcome = run(simulator.directory, "apply", "--yes", "-q")
        assert outcome.status == 0, outcome.err
        applied_and_destroyed(simulator, before)


def test_auto_takes_services_where_nothing_can_assign(tmp_path: Path) -> None:
    with started(tmp_path, "auto", generic_assign="no", pythoncm="none") as simulator:
        before = snapshot(simulator.directory)
        assert run(simulator.directory, "apply", "--yes", "-q").status == 0
        assert ROLE not in roles(simulator)
        assert run(simulator.directory, "destroy", "--yes", "-q").status == 0
        assert snapshot(simulator.directory) == before


class Administrator:
    """Stands for standard input: reads the question, adds the role in Base View, presses Enter."""

    def __init__(self, simulator: Simulator, names: list[str]) -> None:
        self.simulator, self.names, self.asked = simulator, names, 0

    def readline(self) -> str:
        """One line for each question; nothing once there is nothing more to do."""
        self.asked += 1
        if not self.names:
            return ""
        name = self.names.pop(0)
        if name:
            by_base_view(self.simulator, name)
        return "\n"


def by_base_view(simulator: Simulator, role: str) -> None:
    """An empty generic role in the overlay, as Base View saves it: the whole overlay over JSON."""
    simulator.control({"op": "switch", "name": "generic_assign", "value": "yes"})
    cmsh(simulator, f"configurationoverlay; use slurm-client; roles; assign {role}; commit")
    simulator.control({"op": "switch", "name": "generic_assign", "value": "no"})


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[Simulator]:
    with started(tmp_path, "generic-role", generic_assign="no", pythoncm="none") as simulator:
        yield simulator


def test_the_plan_says_that_a_person_is_needed(by_hand: Simulator) -> None:
    plan = json.loads(run(by_hand.directory, "plan", "--json").out)
    assert [note for note in plan["notes"] if "Base View" in note and f"{PLACE}/{ROLE}" in note]


def test_apply_explains_base_view_and_goes_on(by_hand: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(by_hand.directory)
    person = Administrator(by_hand, ["", ROLE])  # Enter too early once
    monkeypatch.setattr("sys.stdin", person)
    outcome = run(by_hand.directory, "apply", "--yes")
    assert outcome.status == 0, outcome.err
    assert person.asked == 2
    assert "Configuration Overlays > slurm-client" in outcome.err
    applied_and_destroyed(by_hand, before)


def test_without_a_person_apply_says_what_to_do_and_the_next_one_completes_it(
    by_hand: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(by_hand.directory)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    outcome = run(by_hand.directory, "apply", "--yes")
    assert outcome.status == 1
    assert ROLE in outcome.err and "Base View" in outcome.err
    assert ROLE not in roles(by_hand)
    by_base_view(by_hand, ROLE)
    assert run(by_hand.directory, "apply", "--yes", "-q").status == 0
    applied_and_destroyed(by_hand, before)


def test_a_role_of_an_administrator_that_has_services_is_not_taken_for_ours(by_hand: Simulator) -> None:
    by_base_view(by_hand, ROLE)
    cmsh(by_hand, f"configurationoverlay; use slurm-client; roles; use {ROLE}; set services x; commit")
    plan = json.loads(run(by_hand.directory, "plan", "--json").out)
    assert [conflict["address"] for conflict in plan["conflicts"]] == [f"role.{PLACE}/{ROLE}"]


def test_what_nobody_agreed_to_is_asked_about(by_hand: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an administrator was in Base View, another one gave the overlay nodes of another category."""
    saved = by_hand.directory / "plan.json"
    assert run(by_hand.directory, "plan", "--out", str(saved)).status == 0

    class Other(Administrator):
        def readline(self) -> str:
            if self.asked == 0:
                cmsh(self.simulator, "configurationoverlay; use slurm-client; set nodes login-01; commit")
            return super().readline()

    person = Other(by_hand, [ROLE])
    monkeypatch.setattr("sys.stdin", person)
    outcome = run(by_hand.directory, "apply", str(saved))
    assert outcome.status == 1 and person.asked == 2
    assert "Carry this out" in outcome.err and "Nothing was changed" in outcome.err
    assert not roles(by_hand)[ROLE].get("services")


def test_the_plan_promises_no_pythoncm_that_is_not_there(by_hand: Simulator) -> None:
    assert "pythoncm makes it" not in run(by_hand.directory, "plan").out
