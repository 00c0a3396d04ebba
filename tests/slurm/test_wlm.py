"""Settings of Slurm as an administrator meets them: the plan, what cannot be had, the commands, who keeps what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bcm_jobstats.bcm.choice import CMSH
from bcm_jobstats.bcm.entities import Cluster, WlmCluster
from bcm_jobstats.bcm.errors import Unreadable
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.plan.model import UPDATE, Change, Plan
from bcm_jobstats.simulator import Simulator
from bcm_jobstats.site import Site
from bcm_jobstats.slurm import resources
from bcm_jobstats.slurm.wlm import VALUE, WlmProvider
from bcm_jobstats.slurm.wlmconf import SlurmConfProvider
from tests.bcm.adapters import adapter
from tests.harness import cluster, cmsh, run
from tests.plan.test_settings import Kept

ROLE = "roles: {jobstats: {attach: {overlay: jobstats, nodes: [dgx-01]}}}\nhooks: {enabled: false}\n"
SLURM = "slurm: {constrain_ram: true, select_type_parameters: CR_Core_Memory}\n"
SITE = Site()
ASKING = replace(SITE, slurm=replace(SITE.slurm, constrain_ram=True, manage_conf=True))


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    with cluster(tmp_path / "head") as started:
        yield started


def site(simulator: Simulator, text: str) -> None:
    file = simulator.directory / "etc/bcm-jobstats/site.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def settings(simulator: Simulator) -> dict[str, str]:
    return dict(adapter(CMSH, simulator).read().wlms["slurm"].settings)


def test_the_commands_of_a_plan_do_the_same_by_hand(simulator: Simulator) -> None:
    """bcm-facts §5.2, §5.3."""
    site(simulator, ROLE + SLURM)
    told = json.loads(run(simulator.directory, "plan", "--format", "cmsh", "--json").out)
    commands = {step["address"]: step["commands"] for step in told if step["address"].startswith("wlm.")}
    assert commands == {
        "wlm.slurm/constrainramspace": ['cmsh -c \'wlm; use "slurm"; cgroups; set constrainramspace "yes"; commit\''],
        "wlm.slurm/selecttypeparameters": [
            'cmsh -c \'wlm; use "slurm"; set selecttypeparameters "CR_Core_Memory"; commit\''
        ],
    }
    for line in commands.values():
        cmsh(simulator, line[0].partition("'")[2].rstrip("'"))
    assert settings(simulator)["constrainramspace"] == "yes"
    assert "wlm." not in run(simulator.directory, "plan").out


def test_the_former_value_is_kept_where_any_head_finds_it(simulator: Simulator) -> None:
    site(simulator, ROLE + SLURM)
    assert run(simulator.directory, "apply", "--yes", "-q").status == 0
    kept = json.loads((simulator.directory / "cm/shared/apps/jobstats/manifest.json").read_text())["originals"]
    assert kept == {
        "wlm.slurm/constrainramspace": {VALUE: "no"},
        "wlm.slurm/selecttypeparameters": {VALUE: ""},
    }
    site(simulator, ROLE)
    outcome = run(simulator.directory, "plan")
    assert "given back as it was" in outcome.out
    assert run(simulator.directory, "apply", "--yes", "-q").status == 0
    assert (settings(simulator)["constrainramspace"], settings(simulator)["selecttypeparameters"]) == ("no", "")
    assert run(simulator.directory, "rollback", "--yes", "-q").status == 0
    assert settings(simulator)["constrainramspace"] == "yes"
    assert run(simulator.directory, "destroy", "--yes", "-q").status == 0
    assert settings(simulator)["constrainramspace"] == "no"


def known(*wlms: WlmCluster) -> Cluster:
    return Cluster("", {}, {}, {}, {}, {wlm.name: wlm for wlm in wlms})


def test_what_bcm_does_not_tell_is_a_problem_and_no_guess(tmp_path: Path) -> None:
    silent = known(WlmCluster("slurm", "slurm"))
    assert resources.desired(ASKING, silent, tmp_path) == []
    told = list(resources.problems(ASKING, silent, tmp_path))
    assert "BCM does not tell constrainramspace of slurm" in told[0] and len(told) == 2
    assert list(resources.problems(SITE, silent, tmp_path)) == []


@pytest.mark.parametrize(
    ("words", "version", "kind", "told"),
    [
        ("CR_Core_Memory,LL_SHARED_GRES", "22.05.8", "cons_tres",
         "LL_SHARED_GRES came with Slurm 23.11, and this is 22.05.8"),
        ("CR_Core,ENFORCE_BINDING_GRES", "23.11.1", "cons_tres", "ENFORCE_BINDING_GRES came with Slurm 23.11.2"),
        ("CR_Core,ENFORCE_BINDING_GRES", "23.11", "cons_tres", ""),
        ("CR_Core,ENFORCE_BINDING_GRES", "23.11.2", "cons_tres", ""),
        ("CR_Core,LL_SHARED_GRES", "", "cons_tres", ""),
        ("CR_Core,OTHER_CONS_TRES", "23.11.10", "cons_tres", ""),
        ("CR_Core,OTHER_CONS_TRES", "24.05", "cons_tres", "OTHER_CONS_TRES went with Slurm 24.05"),
        ("CR_Core", "24.11", "linear", "CR_Core is not for select/linear"),
        ("CR_Memory", "24.11", "linear", ""),
        ("CR_Memory", "24.11", "cons_tres", "one of CR_CPU, CR_Core and CR_Socket is missing"),
        ("CR_Memory", "24.11", "other", ""),
    ],
)  # fmt: skip
def test_words_that_slurm_would_not_start_with_are_refused(
    words: str, version: str, kind: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/slurm.conf").write_text(f"SelectType=select/{kind}\n")
    site = replace(SITE, slurm=replace(SITE.slurm, select_type_parameters=words))
    there = known(WlmCluster("slurm", "slurm", "/etc", version, {"selecttypeparameters": ""}))
    problems = list(resources.problems(site, there, tmp_path))
    assert [told in problem for problem in problems] == [True] * bool(told), problems
    assert all(problem.endswith("With it Slurm would start on no node: change it.") for problem in problems)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("CR_Core,cr_lln", []),
        ("", []),
        ("whatever", []),
        ("LL_SHARED_GRES", ["LL_SHARED_GRES is known to Slurm from 23.11 on"]),
        ("CR_ALLOCATE_FULL_SOCKET", ["CR_ALLOCATE_FULL_SOCKET is known to Slurm before 23.02"]),
    ],
)
def test_a_plan_says_which_slurm_a_word_needs(words: str, told: list[str]) -> None:
    """Whether its version is known or not: BCM may tell 23.11 of one that is 23.11.1."""
    change = Change(UPDATE, "wlm.slurm/selecttypeparameters", {VALUE: "CR_Core"}, {VALUE: words})
    first, *more = resources.notes(Plan((change,), (), ""))
    assert "restarts" in first
    assert more == [f"{one}, another does not start (cmsh: wlm; use slurm; get version)" for one in told]


@pytest.mark.parametrize(("name", "there"), [("Slurm", True), ("slurm", True), ("slurm2", False)])
def test_the_cluster_is_the_one_that_the_site_file_names(name: str, there: bool) -> None:
    others = known(WlmCluster("pbs", "pbspro"), WlmCluster(name, "slurm"))
    assert (resources.of_site(SITE, others) is not None) == there


def test_one_that_cannot_be_given_back_is_an_error(simulator: Simulator) -> None:
    originals = Kept({"wlm.slurm/constrainramspace": {VALUE: "no"}})
    bcm = adapter(CMSH, simulator)
    silent = WlmProvider(1, bcm, {"slurm": WlmCluster("slurm", "slurm")}, originals)
    with pytest.raises(Unreadable, match="constrainramspace"):
        silent.read(())
    nowhere = SlurmConfProvider(
        1, silent.wlms, simulator.directory, Kept({"slurmconf.slurm/TaskPlugin": {"line": None}})
    )
    with pytest.raises(Unreadable, match="etc"):
        nowhere.read(())
    assert WlmProvider(1, bcm, {}, originals).read(()) == {}, "nothing can be given back to a cluster that is gone"


def test_a_slurm_conf_that_cannot_be_read_is_no_concern_of_who_does_not_ask(tmp_path: Path) -> None:
    (tmp_path / "etc/slurm.conf").mkdir(parents=True)
    told = known(WlmCluster("slurm", "slurm", "/etc", settings={"constrainramspace": "no"}))
    assert resources.desired(SITE, told, tmp_path) == []
    with pytest.raises(JobstatsError):
        resources.desired(ASKING, told, tmp_path)


def test_what_a_killed_run_left_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for name in (
        "slurm.conf",
        ".slurm.conf.bcm-jobstats",
        ".slurm.conf.before-bcm-jobstats.bcm-jobstats",
        ".slurm.conf",
    ):
        (tmp_path / "etc" / name).touch()
    resources.clear_leftovers(known(WlmCluster("slurm", "slurm", "/etc")), tmp_path)
    assert sorted(path.name for path in (tmp_path / "etc").iterdir()) == [".slurm.conf", "slurm.conf"]
