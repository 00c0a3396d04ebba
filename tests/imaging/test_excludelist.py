"""Lines of a recipe in BCM's exclude lists: set, kept, and taken back byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcm_jobstats.bcm.cmsh.imagework import CmshImageWork
from bcm_jobstats.bcm.entities import Category, Cluster
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import excludelist
from bcm_jobstats.imaging.excludelist import BEGIN, END, ExcludeListProvider, joined, recorded, split
from bcm_jobstats.imaging.excludes import captured
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.plan.resource import Resource
from bcm_jobstats.simulator import Simulator
from tests.harness import cluster, run, snapshot

RECIPE = "name: ours\nexclude:\n  update: [/var/lib/tsdb/*]\n  grabnew: [/var/lib/tsdb/*, /var/lib/other]\n"
SITE = "cluster: slurm\nrecipes: {login: ours}\nroles: {jobstats: {attach: {manual: true}}}\n"
"""No node gets a role, so that a plan is short."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with cluster(tmp_path_factory.mktemp("lists") / "head", nodes=1) as simulator:
        folder = simulator.directory / "etc/bcm-jobstats"
        (folder / "images.d").mkdir(parents=True)
        (folder / "images.d/ours.yaml").write_text(RECIPE)
        (folder / "site.yaml").write_text(
            f"{SITE}bcm: {{address: '{(simulator.directory / 'cmd/https').read_text().strip()}'}}\n"
        )
        yield simulator


@pytest.fixture
def head(made: Simulator) -> Iterator[Simulator]:
    yield made
    assert run(made.directory, "destroy", "--yes", "-q").status == 0


def lists(simulator: Simulator) -> CmshImageWork:
    return CmshImageWork(simulator.cmsh, 30.0)


def apply(simulator: Simulator) -> None:
    outcome = run(simulator.directory, "apply", "--yes", "-q")
    assert outcome.status == 0, outcome.err


def test_set_once_and_taken_back_byte_for_byte(head: Simulator) -> None:
    before = snapshot(head.directory)
    text = lists(head).exclude_lists("login")
    apply(head)
    block = f"{BEGIN}\n- /var/lib/tsdb/*\n- /var/lib/other\n{END}\n"
    assert lists(head).exclude_lists("login")["grabnew"] == text["grabnew"] + block
    assert not captured("/var/lib/other", lists(head).effective_exclude_list("login-01", "grabnew"))
    assert run(head.directory, "plan", "--detailed-exitcode").status == 0
    assert run(head.directory, "destroy", "--yes", "-q").status == 0
    assert snapshot(head.directory) == before


def test_what_an_administrator_changes_is_kept_and_what_is_ours_put_right(head: Simulator) -> None:
    text = lists(head).exclude_lists("login")["update"]
    apply(head)
    mine = f"- /first\n{text}{BEGIN}\n- /var/lib/wrong\n{END}\n- /last\n"
    lists(head).save_exclude_list("login", "update", mine)
    assert "excludelist.login/update" in run(head.directory, "plan").out
    apply(head)
    assert lists(head).exclude_lists("login")["update"] == mine.replace("wrong", "tsdb/*")
    assert run(head.directory, "destroy", "--yes", "-q").status == 0
    assert lists(head).exclude_lists("login")["update"] == f"- /first\n{text}- /last\n"
    lists(head).save_exclude_list("login", "update", text)


def test_a_block_that_an_administrator_deleted_comes_back_and_no_longer_wanted_it_goes(head: Simulator) -> None:
    text = lists(head).exclude_lists("login")["update"]
    apply(head)
    lists(head).save_exclude_list("login", "update", text)
    apply(head)
    assert BEGIN in lists(head).exclude_lists("login")["update"]
    folder = head.directory / "etc/bcm-jobstats"
    (folder / "images.d/ours.yaml").write_text("name: ours\n")
    apply(head)
    (folder / "images.d/ours.yaml").write_text(RECIPE)
    assert lists(head).exclude_lists("login")["update"] == text


def test_marks_that_do_not_go_together_stop_everything(head: Simulator) -> None:
    text = lists(head).exclude_lists("login")["update"]
    lists(head).save_exclude_list("login", "update", f"{text}{BEGIN}\n- /x\n")
    outcome = run(head.directory, "plan")
    lists(head).save_exclude_list("login", "update", text)
    assert outcome.status == 1
    assert "exclude list update of category login: has marks of bcm-jobstats" in outcome.err


def test_the_commands_by_hand_do_the_same(head: Simulator) -> None:
    apply(head)
    ours = lists(head).exclude_lists("login")["grabnew"]
    text = split(ours)[0]
    lists(head).save_exclude_list("login", "grabnew", text)
    printed = run(head.directory, "plan", "--format", "cmsh").out
    assert "set excludelistgrabnew /root/grabnew.txt; commit" in printed
    assert f"{BEGIN}\n- /var/lib/tsdb/*\n- /var/lib/other\n{END}\n" in printed


def test_through_another_way_they_are_left_out_and_said_so(head: Simulator) -> None:
    outcome = run(head.directory, "--bcm", "rest", "plan")
    assert outcome.status == 0, outcome.err
    assert "excludelist." not in outcome.out
    assert "exclude lists are not seen with --bcm rest" in outcome.out


def test_nothing_is_asked_of_bcm_where_there_is_nothing_of_ours(tmp_path: Path) -> None:
    def nobody() -> CmshImageWork:
        raise AssertionError("asked")

    shared = Tree("shared", tmp_path, "/", "/manifest.json", confined=False)
    there = Cluster("10.0", {}, {"login": Category("login", "i")}, {}, {}, {})
    provider = ExcludeListProvider(1, 1, nobody, cluster=there, shared=shared, reached=True)
    assert provider.read(()) == {}
    # A category that is gone took its lists along; the record of them is struck off.
    provider._record("gone/update", there=True)
    assert recorded(shared) == {"gone/update"}
    assert provider.read(())["gone/update"].ours
    assert provider.remove("gone/update", {"lines": []}) is None
    assert recorded(shared) == set()


LINE = st.sampled_from(["- /a", "# BEGIN", "", "  - /b", "no-new-files: - /c", "#END bcm-jobstats"])


@given(st.lists(LINE).map(lambda lines: "".join(f"{line}\n" for line in lines)), st.lists(LINE.filter(str.strip)))
def test_any_list_is_given_back(text: str, lines: list[str]) -> None:
    ours = [line.strip() for line in lines]
    there = joined(text, ours)
    assert split(there) == (text, ours, "")
    assert joined(there, None) == text
    assert joined(there, [*ours, "- /new"]) == joined(text, [*ours, "- /new"])


def test_a_list_without_a_last_newline_gets_one() -> None:
    assert joined("- /a", ["- /b"]) == f"- /a\n{BEGIN}\n- /b\n{END}\n"


@pytest.mark.parametrize("text", [f"{END}\n{BEGIN}\n", f"{BEGIN}\n", f"{BEGIN}\n{END}\n{END}\n"])
def test_marks_that_do_not_go_together(text: str) -> None:
    with pytest.raises(JobstatsError, match="do not go together"):
        split(text)


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    shared = Tree("shared", tmp_path, "/", "/manifest.json", confined=False)
    wanted = [Resource(excludelist.KIND, "login/update", {})]
    assert list(excludelist.notes(wanted, shared, "rest")) == [
        "exclude lists are not seen with --bcm rest, and stay as they are: login/update"
    ]
    assert list(excludelist.notes([], shared, "rest")) == []
