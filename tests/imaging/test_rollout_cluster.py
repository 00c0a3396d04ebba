"""`image rollout` over a simulated cluster: real trees that are really synced, kills, failovers, and how often BCM is
asked."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.imaging.payload import shared_tree
from bcm_jobstats.imaging.record import BUILT, DONE, FAILED, ROLLING, VERIFIED, Records
from bcm_jobstats.simulator import Simulator
from tests.bench_images import counted
from tests.harness import cmsh, killed_after, run, snapshot
from tests.imaging.built import (
    CATEGORY,
    NEW,
    OLD,
    SITE,
    UNIT,
    build,
    category_image,
    image_of,
    made,
    ok,
    record,
    rollout,
    states,
)

pytestmark = pytest.mark.slow
SCRIPT = "usr/lib/bcm-jobstats/node-check"


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Simulator]:
    """Two nodes that are directory trees."""
    yield from made(tmp_path / "head", node_kind="process", nodes=2)


@pytest.fixture
def papers(tmp_path: Path) -> Iterator[Simulator]:
    """Four nodes on paper."""
    yield from made(tmp_path / "head", nodes=4)


def test_from_the_build_to_the_last_node_and_a_repair(head: Simulator) -> None:
    root = head.directory
    nodes = {name: root / "nodes" / name for name in ("dgx-01", "dgx-02")}
    dry = json.loads(ok(root, "image", "rollout", CATEGORY, "--dry-run", "--json").out)
    assert (dry["node"], dry["dry_run_of"]) == ("dgx-01", OLD)
    assert f"/{UNIT}" in [one["path"] for one in dry["differs"]]
    assert not (nodes["dgx-01"] / UNIT).exists() and image_of(head, "dgx-01") == ""

    told = json.loads(ok(root, "image", "rollout", CATEGORY, "--yes", "--json").out)
    assert told["ended"] and [wave["canary"] for wave in told["waves"]] == [True, False]
    assert told["unchecked"], "these nodes run no systemd, and that is told"
    assert (category_image(head), [image_of(head, name) for name in nodes]) == (NEW, ["", ""])
    assert (record(root).stage, states(root)) == (DONE, dict.fromkeys(nodes, VERIFIED))
    for tree in nodes.values():
        assert (tree / UNIT).read_bytes() == (root / "cm/images" / NEW / UNIT).read_bytes()

    ok(root, "apply", "--yes", "-q")
    ok(root, "plan", "--detailed-exitcode")
    (nodes["dgx-02"] / UNIT).unlink()
    (root / "cm/images" / NEW / SCRIPT).chmod(0o777)
    outcome = ok(root, "image", "rollout", CATEGORY, "--yes", "--nodes", "dgx-02")
    assert f"{NEW}:/{SCRIPT} is put right first" in outcome.out and "not named: dgx-01" in outcome.out
    assert (nodes["dgx-02"] / UNIT).exists()
    assert (root / "cm/images" / NEW / SCRIPT).stat().st_mode & 0o777 == 0o755
    assert record(root).stage == DONE
    ok(root, "plan", "--detailed-exitcode")


def test_a_canary_with_a_broken_program_stops_it(head: Simulator) -> None:
    """The program is not in the manifest: an administrator installed it. Then it is cured, and the rest goes. After the
    rollback everything is as before, byte for byte."""
    root = head.directory
    before = {path: entry for path, entry in snapshot(root).items() if not path.startswith(("cm/shared", "objects"))}
    program = root / "cm/images" / NEW / "usr/local/bin/cgroup_exporter"
    good = program.read_bytes()
    program.write_bytes(b"#!/bin/sh\necho no such library; exit 127\n")
    outcome = rollout(root)
    assert outcome.status == 1
    assert "dgx-01: /usr/local/bin/cgroup_exporter: --version ends with status 127: no such library" in outcome.err
    assert "dgx-02 not touched" in outcome.err and not (root / "nodes/dgx-02" / UNIT).exists()
    assert (states(root), category_image(head), image_of(head, "dgx-02")) == ({"dgx-01": FAILED}, OLD, "")
    plan = run(root, "plan")
    assert "is being rolled out" in plan.out + plan.err
    program.write_bytes(good)
    assert rollout(root).status == 0
    assert (states(root), category_image(head)) == ({"dgx-01": VERIFIED, "dgx-02": VERIFIED}, NEW)
    outcome = rollout(root, action="rollback")
    assert outcome.status == 0, outcome.err
    after = snapshot(root)
    assert {path: after.get(path) for path in before} == before
    assert not [path for path in after if path.startswith("nodes/") and path not in before]
    assert (category_image(head), Records(shared_tree(root)).all()) == (OLD, {})


def test_nodes_that_do_not_go_and_the_way_back(papers: Simulator) -> None:
    """One is off, one has an image of its own; afterwards nothing is left of it, and a rollout without a build brings
    nodes to the image they have."""
    root = papers.directory
    cmsh(papers, "device; use dgx-02; set softwareimage login-image; commit")
    before = papers.state()
    papers.control({"op": "node", "name": "dgx-03", "state": "down"})
    outcome = rollout(root)
    assert outcome.status == 0
    assert "left: dgx-03 is DOWN: it gets the image at its next boot" in outcome.err
    assert "left: dgx-02 has an image of its own, login-image" in outcome.err
    assert (category_image(papers), sorted(states(root))) == (NEW, ["dgx-01", "dgx-04"])
    assert [image_of(papers, f"dgx-0{number}") for number in (1, 2, 3, 4)] == ["", "login-image", "", ""]

    assert rollout(root, "--remove-image", action="rollback").status == 0
    del before["softwareimage"][NEW]
    assert (papers.state(), Records(shared_tree(root)).all()) == (before, {})
    outcome = rollout(root)
    assert outcome.status == 0 and f"software image {OLD}, 2 of its nodes" in outcome.out
    assert (papers.state(), Records(shared_tree(root)).all()) == (before, {})


def test_restart_required_that_an_update_leaves(papers: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Capability imageupdate-clears-restart, the other way."""
    monkeypatch.setattr("bcm_jobstats.imaging.synced.POLL", 0.05)
    root = papers.directory
    papers.control({"op": "switch", "name": "imageupdate_clears_restart", "value": "no"})
    outcome = rollout(root)
    assert outcome.status == 1 and "restart-required of dgx-01 after the update; --reboot boots" in outcome.err
    outcome = rollout(root, "--reboot", "--timeout", "20s", "--nodes", "dgx-01,dgx-02")
    assert outcome.status == 0 and "  reboot dgx-02" in outcome.err
    assert rollout(root, "--no-reboot").status == 0
    assert category_image(papers) == NEW


def test_part_of_the_nodes_first(papers: Simulator) -> None:
    root = papers.directory
    assert rollout(root, "--nodes", "dgx-02,dgx-03", "--canary", "dgx-03").status == 0
    assert (record(root).stage, category_image(papers)) == (ROLLING, OLD)
    assert [image_of(papers, name) for name in sorted(states(root))] == [NEW, NEW]
    outcome = rollout(root)
    assert outcome.status == 0 and "done already: dgx-[02-03]" in outcome.out
    assert (record(root).stage, category_image(papers)) == (DONE, NEW)


def test_nothing_goes_without_a_yes(papers: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    before = papers.state()
    for action in ("rollout", "rollback"):
        assert run(papers.directory, "image", action, CATEGORY).status == 1
    assert (papers.state(), record(papers.directory).stage) == (before, BUILT)


BAD = (["--wave", "0"], ["--wave", "x"], ["--max-failures", "101%"], ["--settle", "soon"], ["--nodes", "a[1"],
       ["--canary", ""], ["--reboot", "--no-reboot"])  # fmt: skip


@pytest.mark.parametrize("words", BAD, ids=" ".join)
def test_options_that_make_no_sense(tmp_path: Path, words: list[str]) -> None:
    site = tmp_path / "etc/bcm-jobstats/site.yaml"
    site.parent.mkdir(parents=True)
    site.write_text("")
    assert run(tmp_path, "image", "rollout", CATEGORY, *words).status == 64


def test_a_test_job_is_run_for_one_node_of_each_wave(papers: Simulator) -> None:
    root = papers.directory
    site = root / "etc/bcm-jobstats/site.yaml"
    log = root / "jobs"
    site.write_text(f"rollout: {{wave: '3', test_job: 'echo {{node}} >> {log}; test {{node}} != dgx-02 || (echo no GPU; exit 3)'}}\n")  # fmt: skip  # noqa: E501
    outcome = rollout(root)
    assert outcome.status == 1 and "test job" in outcome.err and "ended with status 3: no GPU" in outcome.err
    assert log.read_text().split() == ["dgx-01", "dgx-02"]
    assert states(root) == {"dgx-01": VERIFIED, "dgx-02": FAILED, "dgx-03": VERIFIED, "dgx-04": VERIFIED}
    site.write_text(SITE)
    assert rollout(root).status == 0


def test_killed_after_writes_it_goes_on(papers: Simulator) -> None:
    """The writes are: image and update of the canary, of the others, the category's image, none of their own."""
    root = papers.directory
    for writes, back in ((2, 1), (5, 2)):
        assert killed_after(writes, root, "image", "rollout", CATEGORY, "--yes", files=False)
        assert rollout(root).status == 0
        assert (category_image(papers), set(states(root).values())) == (NEW, {VERIFIED})
        assert [image_of(papers, f"dgx-0{number}") for number in (1, 2, 3, 4)] == [""] * 4
        assert killed_after(back, root, "image", "rollback", CATEGORY, "--yes", files=False)
        assert rollout(root, "--remove-image", action="rollback").status == 0
        assert (category_image(papers), Records(shared_tree(root)).all()) == (OLD, {})
        build(root)


def test_a_failover_in_the_middle(tmp_path: Path) -> None:
    """The head that was active stops; the other one finds the record on shared storage and goes on (bcm-facts §10)."""
    for pair in made(tmp_path / "head", nodes=3, heads=2):
        first, second = (pair.heads()[name] for name in sorted(pair.heads(), key=lambda name: name != pair.active))
        pair.control({"op": "fault", "kind": "failover_at_commit", "nth": 2, "when": "after"})
        assert rollout(first).status == 75
        assert rollout(first).status == 75
        begun = states(second)
        assert begun["dgx-01"] == VERIFIED and len(begun) == 3
        outcome = rollout(second)
        assert outcome.status == 0, outcome.err
        assert "done already: dgx-01" in outcome.out
        assert (category_image(pair), set(states(second).values())) == (NEW, {VERIFIED})


def test_calls_do_not_depend_on_the_number_of_nodes(tmp_path: Path) -> None:
    counts = []
    for nodes in (3, 60):
        for simulator in made(tmp_path / f"head{nodes}", nodes=nodes):
            for action in ("rollout", "rollback"):
                with counted() as scripts:
                    outcome = rollout(simulator.directory, action=action)
                assert outcome.status == 0, outcome.err
                counts.append((action, len(scripts), sum("imageupdate" in "".join(script) for script in scripts)))
    assert counts[:2] == counts[2:]
    assert [updates for _, _, updates in counts[:2]] == [2, 1]
