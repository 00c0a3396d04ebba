"""How rollouts and rollbacks end where something came in between, over a simulated cluster: what is left of them on
nodes, on record, and for `destroy`."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from bcm_jobstats.bcm.errors import Unreachable
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.payload import shared_tree
from bcm_jobstats.imaging.record import BUILDING, BUILT, DONE, FAILED, ROLLING, VERIFIED, Record, Records
from bcm_jobstats.imaging.rolling import Rolling
from bcm_jobstats.imaging.update import UpdateProvider
from bcm_jobstats.imaging.waves import Wave
from bcm_jobstats.simulator import Simulator
from tests.harness import cmsh, run
from tests.imaging.built import (
    CATEGORY,
    NEW,
    OLD,
    SITE,
    build,
    category_image,
    image_of,
    made,
    ok,
    record,
    rolled,
    rollout,
    states,
)

pytestmark = pytest.mark.slow
PROGRAM = "usr/local/bin/cgroup_exporter"
EDITED = SITE + "exporters: {node_exporter: {port: 9200}}\n"


@pytest.fixture
def papers(tmp_path: Path) -> Iterator[Simulator]:
    """Three nodes on paper."""
    yield from made(tmp_path / "head", nodes=3)


def records(root: Path) -> dict[str, Record]:
    return Records(shared_tree(root)).all()


def noted(root: Path) -> dict[str, dict[str, str]]:
    shared = shared_tree(root)
    return Manifest(shared.root, shared.manifest).pushed


def write(root: Path, site: str) -> None:
    (root / "etc/bcm-jobstats/site.yaml").write_text(site)


def dead_links(root: Path) -> list[str]:
    """Links of nodes to hooks on shared storage that are not there."""
    links = [path for path in (root / "nodes").rglob("*jobstats*") if path.is_symlink()]
    targets = {path: str(path.readlink()) for path in links}
    return [str(path) for path, to in targets.items() if to.startswith("/cm/shared/") and not (root / to[1:]).exists()]


def roll_edited(root: Path) -> None:
    """The site file says something else since the build."""
    write(root, EDITED)
    rolled(root)


def roll_with_a_failure(root: Path) -> None:
    write(root, SITE.replace("}", ", test_job: 'test {node} != dgx-02'}"))
    assert rollout(root, "--max-failures", "100%").status == 1
    assert (record(root).stage, states(root)["dgx-02"]) == (DONE, FAILED)


def roll_canary(root: Path) -> None:
    write(root, SITE.replace("}", ", test_job: 'false {node}'}"))
    assert rollout(root).status == 1
    assert states(root) == {"dgx-01": FAILED}


def unreachable(self: UpdateProvider, category: str) -> None:
    raise Unreachable(f"imageupdate of {category}", "BCM is away", "Run it again.")


def test_destroy_leaves_no_link_to_a_hook_that_is_gone(tmp_path: Path) -> None:
    """However a rollout ended: a prolog whose hook is gone drains the node. The second `destroy` finds nothing of ours
    in any image: that nodes have something is told by what was noted of them."""
    for simulator in made(tmp_path / "head", node_kind="process", nodes=2):
        root = simulator.directory
        for roll in (roll_edited, roll_with_a_failure, roll_canary):
            roll(root)
            assert any(path.is_symlink() for path in (root / "nodes").rglob("*jobstats*")), "there are hooks"
            with mock.patch.object(UpdateProvider, "_update", unreachable):
                assert run(root, "destroy", "--yes").status != 0
            ok(root, "destroy", "--yes")
            assert dead_links(root) == [], roll.__name__
            ok(root, "image", "rollback", CATEGORY, "--yes", "--remove-image")
            assert (records(root), noted(root)) == ({}, {})
            write(root, SITE)
            build(root)


def test_a_repair_that_fails_blocks_nothing(papers: Simulator) -> None:
    """Neither where there is no record, nor where there is one of a rollout that ended."""
    root = papers.directory
    rolled(root)
    before = record(root)
    program = root / "cm/images" / NEW / PROGRAM
    good = program.read_bytes()
    program.write_bytes(b"#!/bin/sh\nexit 3\n")
    outcome = rollout(root, "--nodes", "dgx-02")
    assert outcome.status == 1 and "--version ends with status 3" in outcome.err
    after = record(root)
    assert (after.stage, states(root)) == (DONE, {"dgx-01": VERIFIED, "dgx-02": FAILED, "dgx-03": VERIFIED})
    assert rollout(root).status == 1 and record(root).stage == DONE
    program.write_bytes(good)
    ok(root, "plan")
    assert rollout(root).status == 0
    assert record(root) == before

    ok(root, "image", "rollback", CATEGORY, "--yes")
    ok(root, "apply", "--yes", "-q")
    program = root / "cm/images" / OLD / PROGRAM
    program.write_bytes(b"#!/bin/sh\nexit 3\n")
    state = papers.state()
    for words in ((), ("--nodes", "dgx-02")):
        outcome = rollout(root, *words)
        assert outcome.status == 1 and "Go back" not in outcome.err
        assert (records(root), papers.state()) == ({}, state)
    ok(root, "plan", "--detailed-exitcode")


def test_a_build_in_place_that_failed_is_forgotten(papers: Simulator) -> None:
    root = papers.directory
    Records(shared_tree(root)).save(Record(CATEGORY, OLD, OLD, BUILDING))
    before = papers.state()
    outcome = rollout(root, "--remove-image", action="rollback")
    assert outcome.status == 0
    for words in ("nothing was changed on nodes", "bcm-jobstats rollback", f"bcm-jobstats image rollout {CATEGORY}"):
        assert words in outcome.err
    assert (records(root), papers.state()) == ({}, before)


@pytest.mark.parametrize("stage", [ROLLING, DONE])
def test_a_built_image_that_was_removed_by_hand(papers: Simulator, stage: str) -> None:
    """Somebody gave all back what they had, and removed it."""
    root = papers.directory
    rolled(root, *(("--nodes", "dgx-01") if stage == ROLLING else ()))
    cmsh(papers, f"category; use {CATEGORY}; set softwareimage {OLD}; commit")
    cmsh(papers, "device; use dgx-01; clear softwareimage; commit")
    cmsh(papers, f"softwareimage; remove {NEW}; commit")
    outcome = rollout(root)
    assert outcome.status == 1 and f"image rollback {CATEGORY}" in outcome.err
    outcome = rollout(root, action="rollback")
    assert outcome.status == 0, outcome.err
    assert ("imageupdate: dgx-[01-03]" if stage == DONE else "imageupdate: dgx-01") in outcome.out
    assert (records(root), noted(root), category_image(papers)) == ({}, {}, OLD)
    ok(root, "plan")


@pytest.mark.parametrize("stage", [BUILT, ROLLING, DONE])
def test_an_emptied_image_is_not_rolled_out(papers: Simulator, stage: str) -> None:
    root = papers.directory
    if stage != BUILT:
        rolled(root, *(("--nodes", "dgx-01") if stage == ROLLING else ()))
    ok(root, "destroy", "--yes")
    before = record(root)
    outcome = rollout(root)
    assert outcome.status == 1 and "nothing of bcm-jobstats is in it any more" in outcome.err
    assert ("image build" in outcome.err) is (stage != ROLLING) and "image rollback" in outcome.err
    assert record(root) == before
    diff = run(root, "image", "diff", CATEGORY)
    assert (diff.status, "nothing of bcm-jobstats is in it" in diff.out) == (1, True)


def at_the_last_wave(monkeypatch: pytest.MonkeyPatch, simulator: Simulator, script: str) -> None:
    """Have an administrator do something while nodes are brought to the image."""
    real = Rolling._wave

    def wave(self: Rolling, one: Wave) -> dict[str, str]:
        failed = real(self, one)
        if not one.canary:
            cmsh(simulator, script)
        return failed

    monkeypatch.setattr(Rolling, "_wave", wave)


def test_a_category_that_got_another_image_meanwhile_keeps_it(
    papers: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = papers.directory
    at_the_last_wave(monkeypatch, papers, f"category; use {CATEGORY}; set softwareimage login-image; commit")
    outcome = rollout(root)
    assert outcome.status == 1
    assert f"has image login-image now, neither {OLD}" in outcome.err and NEW in outcome.err
    assert (record(root).stage, category_image(papers)) == (ROLLING, "login-image")
    outcome = rollout(root, action="rollback")
    assert outcome.status == 0 and f"category {CATEGORY} has image login-image" in outcome.err
    assert (category_image(papers), records(root)) == ("login-image", {})


def test_nodes_that_moved_or_are_gone_are_told_and_block_no_rollback(papers: Simulator) -> None:
    root = papers.directory
    rolled(root)
    cmsh(papers, "device; remove dgx-03; commit")
    cmsh(papers, "device; use dgx-01; set softwareimage login-image; commit")
    outcome = rollout(root, "--json", action="rollback")
    assert outcome.status == 0, outcome.err
    told = json.loads(outcome.out)
    assert told["left"] == {"dgx-01": "has image login-image now", "dgx-03": "is not in BCM any more"}
    assert (told["nodes"], told["image"], told["failed"], told["error"]) == (["dgx-02"], OLD, {}, None)
    assert image_of(papers, "dgx-01") == "login-image"


def test_a_build_that_has_users_already_is_really_taken_back(papers: Simulator) -> None:
    root = papers.directory
    cmsh(papers, f"category; use {CATEGORY}; set softwareimage {NEW}; commit")
    outcome = rollout(root, action="rollback")
    assert outcome.status == 0 and "imageupdate: dgx-[01-03]" in outcome.out
    assert f"category {CATEGORY} has image {OLD}, 3 nodes were brought back" in outcome.err
    assert category_image(papers) == OLD


def test_a_node_that_cannot_be_synced(tmp_path: Path) -> None:
    """It alone fails; then a rollback that fails there says so, as data too."""
    for simulator in made(tmp_path / "head", node_kind="process", nodes=2):
        root = simulator.directory
        fault = {"op": "fault", "kind": "fail_sync", "name": "dgx-02", "message": "no space left", "nth": 1}
        simulator.control(fault)
        outcome = rollout(root, "--max-failures", "1")
        assert outcome.status == 1 and "BCM says restart-required: it may need --reboot" in outcome.err
        assert (record(root).stage, states(root)) == (DONE, {"dgx-01": VERIFIED, "dgx-02": FAILED})
        assert rollout(root).status == 0
        simulator.control(fault)
        outcome = rollout(root, "--json", action="rollback")
        assert outcome.status == 1
        told = json.loads(outcome.out)
        assert (told["image"], list(told["failed"])) == (OLD, ["dgx-02"])
        assert "1 nodes are not back: dgx-02" in told["error"]
        assert rollout(root, action="rollback").status == 0


def test_nobody_is_there_to_try_it(papers: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    root = papers.directory
    for number in (1, 2, 3):
        papers.control({"op": "node", "name": f"dgx-0{number}", "state": "down"})
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    outcome = run(root, "image", "rollout", CATEGORY)
    assert outcome.status == 1 and "No node goes: the category gets" in outcome.out
    assert "though no node was seen to work with it?" in outcome.err
    assert (category_image(papers), record(root).stage) == (OLD, BUILT)


def test_a_difference_cannot_be_told_without_the_directory(papers: Simulator) -> None:
    root = papers.directory
    shutil.rmtree(root / "cm/images" / NEW)
    outcome = run(root, "image", "diff", CATEGORY)
    assert outcome.status == 1 and f"software image {NEW}: its directory" in outcome.err
    cmsh(papers, f"device; use dgx-01; set softwareimage {NEW}; commit")
    outcome = run(root, "image", "diff", CATEGORY, "--node", "dgx-01")
    assert (outcome.status, "has no directory any more" in outcome.out) == (1, True)
