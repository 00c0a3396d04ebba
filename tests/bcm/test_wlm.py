"""Settings of Slurm clusters in BCM: read with everything else, changed and read back, by every adapter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bcm_jobstats.bcm import wlmsettings
from bcm_jobstats.bcm.choice import CMSH, REST
from bcm_jobstats.bcm.cmsh import wlm
from bcm_jobstats.bcm.entities import Cluster, WlmCluster
from bcm_jobstats.bcm.errors import Refused, Unreadable
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.bcm.rest.errors import ReadOnly
from bcm_jobstats.plan.model import ADOPT, Change, Plan
from bcm_jobstats.simulator import Simulator
from bcm_jobstats.slurm import resources
from tests.bcm.adapters import READERS, WRITERS, adapter, questions
from tests.harness import cluster, cmsh

SETTINGS = {"selecttypeparameters": "CR_Core", "prologflags": "Alloc,X11", "constraincores": "yes",
            "constrainramspace": "no"}  # fmt: skip


@pytest.fixture(params=["bcm10", "bcm11"])
def simulator(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Simulator]:
    with cluster(tmp_path / "head", profile=request.param, switches={"empty_get": "nothing"}) as started:
        cmsh(started, "wlm; use slurm; set selecttypeparameters CR_Core; set prologflags Alloc X11; commit")
        yield started


def slurm(bcm: Bcm) -> WlmCluster:
    return bcm.read().wlms["slurm"]


@pytest.mark.parametrize("way", READERS)
def test_settings_are_read_with_everything_else(simulator: Simulator, way: str) -> None:
    """bcm-facts §5.2: the directory of slurm.conf is asked for, as it is another one in each version."""
    found = slurm(adapter(way, simulator))
    assert found.settings == SETTINGS
    assert found.etc.startswith("/cm/shared/apps/slurm/") and found.version == "24.11"


def test_they_cost_no_question_of_their_own(simulator: Simulator) -> None:
    bcm = adapter(CMSH, simulator)
    simulator.control({"op": "reset_log"})
    bcm.read(["slurmclient"])
    assert len(questions(simulator)) == 2, "the objects, and what is assigned to them; there is no role of ours"


@pytest.mark.parametrize("way", WRITERS)
def test_settings_are_changed_and_read_back(simulator: Simulator, way: str) -> None:
    bcm, state = adapter(way, simulator), simulator.state()
    before = slurm(bcm)
    wanted = {"constrainramspace": "yes", "constraincores": "no", "selecttypeparameters": "CR_CPU,CR_ONE_TASK_PER_CORE"}
    for name, value in wanted.items():
        after = replace(before, settings={**before.settings, name: value})
        assert bcm.save_wlm(before, after) == after == slurm(bcm)
        before = after
    both = replace(before, settings={**SETTINGS, "selecttypeparameters": ""})
    assert bcm.save_wlm(before, both) == both
    assert bcm.save_wlm(both, replace(both, settings=SETTINGS)) == slurm(bcm)
    assert simulator.state() == state


@pytest.mark.parametrize("way", WRITERS)
def test_what_bcm_does_not_take_is_an_error(simulator: Simulator, way: str) -> None:
    bcm = adapter(way, simulator)
    before = slurm(bcm)
    with pytest.raises(Refused, match="wlm cluster slurm") as error:
        bcm.save_wlm(before, replace(before, settings={**SETTINGS, "constrainramspace": "perhaps"}))
    assert "constrainramspace" in error.value.cause
    assert slurm(bcm) == before


def test_who_only_reads_says_so(simulator: Simulator) -> None:
    bcm = adapter(REST, simulator)
    with pytest.raises(ReadOnly):
        bcm.save_wlm(slurm(bcm), slurm(bcm))


NAME = "s"
KNOWN = Cluster("", {}, {}, {}, {}, {NAME: WlmCluster(NAME, "slurm"), "p": WlmCluster("p", "pbspro")})
END = "Version Information\n-----\nCluster Manager   11.0\n"


def answer(*told: str) -> str:
    return "".join(f"{NAME}\n{one}\n" for one in told) + f"{NAME}\nrest\n{END}"


TOLD: dict[str, tuple[tuple[str, ...], WlmCluster]] = {
    "all": (("/etc/s", "24.11.3", "CR_Core", "Alloc Contain", "yes", "NO"),
            WlmCluster(NAME, "slurm", "/etc/s", "24.11.3", {**SETTINGS, "prologflags": "Alloc,Contain"})),
    "nothing": (("", "", "", "", "", ""),
                WlmCluster(NAME, "slurm", settings={"selecttypeparameters": "", "prologflags": ""})),
    "errors": (("No such property: etc", "no version", "Unknown property", "no such flags", "no", "error"),
               WlmCluster(NAME, "slurm", settings={"constraincores": "no"})),
    "flags on several lines": (("", "", "", "Alloc\nX11", "", ""),
                               WlmCluster(NAME, "slurm",
                                          settings={"selecttypeparameters": "", "prologflags": "Alloc,X11"})),
}  # fmt: skip


@pytest.mark.parametrize(("told", "found"), TOLD.values(), ids=TOLD)
def test_what_is_not_told_is_left_out(told: tuple[str, ...], found: WlmCluster) -> None:
    """bcm-facts §5.2, §5.3: nobody could try these names; an error's words must not be taken for a value."""
    read, rest = wlm.read(KNOWN, answer(*told))
    assert read.wlms == {**KNOWN.wlms, NAME: found}
    assert rest == f"rest\n{END}"


@pytest.mark.parametrize("text", ["", END, f"{NAME}\n" * 6 + END, f"x\n{NAME}\n" * 7 + END, f"{NAME}\n" * 7])
def test_an_answer_for_less_than_was_asked_is_an_error(text: str) -> None:
    with pytest.raises(Unreadable, match="wlm cluster s"):
        wlm.read(KNOWN, text)


def test_only_slurm_is_asked_and_only_by_names_that_can_be_sent() -> None:
    odd = {"p": WlmCluster("p", "pbspro"), "a;b": WlmCluster("a;b", "slurm")}
    assert wlm.query(odd) == []
    assert wlm.of(odd, "text") == (odd, "text")


def test_only_what_differs_is_set_and_each_level_commits_its_own() -> None:
    """bcm-facts §5.2 [U]: `set epilogslurmctld …; commit`; §5.3 [U]: `cgroups; set constrainramspace yes; commit`."""
    before = WlmCluster(NAME, "slurm", settings=SETTINGS)
    ram = replace(before, settings={**SETTINGS, "constrainramspace": "yes"})
    assert wlm.save(before, ram) == ["wlm", 'use "s"', "cgroups", 'set constrainramspace "yes"', "commit"]
    assert wlm.save(ram, replace(before, settings={**SETTINGS, "selecttypeparameters": ""})) == [
        "wlm", 'use "s"', "clear selecttypeparameters", "commit",
        "home", "wlm", 'use "s"', "cgroups", 'set constrainramspace "no"', "commit",
    ]  # fmt: skip
    assert wlm.save(before, before) == []


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [("CR_Core", "cr_core", True), ("A,B", "B,A", True), ("A", "A,B", False), ("", "A", False), ("yes", "no", False)],
)
def test_words_are_the_same_in_any_order(one: str, other: str, alike: bool) -> None:
    assert wlmsettings.same(one, other) is alike


def test_a_plan_says_what_bcm_does_to_slurms_daemons() -> None:
    """bcm-facts §5.2: a restart for SelectTypeParameters, `scontrol reconfigure` for cgroup.conf, nothing for edits."""
    addresses = ("wlm.s/selecttypeparameters", "wlm.s/constraincores", "slurmconf.s/TaskPlugin", "role.x")
    changes = tuple(Change(ADOPT, address, {"value": "a", "line": "a"}, {"value": "b", "line": "b"})
                    for address in addresses)  # fmt: skip
    assert list(resources.notes(Plan(changes, (), ""))) == [
        "selecttypeparameters of s changes: BCM restarts slurmctld and slurmd on all nodes",
        "constraincores of s changes: BCM has Slurm reconfigure (scontrol)",
        "slurm.conf of s changes where BCM does not look: run `scontrol reconfigure` afterwards",
    ]
    same = (Change(ADOPT, "wlm.s/selecttypeparameters", {"value": "a"}, {"value": "a"}),)
    assert list(resources.notes(Plan(same, (), ""))) == []
