"""The way back from a rollout: who goes back to what, and how it is seen; see also test_rollout_cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.bcm.imagework import NodeStatus
from bcm_jobstats.imaging import asbefore, back
from bcm_jobstats.imaging.back import NoWayBack, Return
from bcm_jobstats.imaging.drift import Difference
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.record import (
    BUILT,
    DONE,
    FAILED,
    MOVED,
    RETURNING,
    ROLLING,
    STAGES,
    VERIFIED,
    NodeRecord,
    Record,
)  # fmt: skip
from bcm_jobstats.imaging.returning import NotBack, Returning
from bcm_jobstats.imaging.trees import Tree, TreeProvider, file_state, link_state
from bcm_jobstats.site import Amount, Site
from bcm_jobstats.stack import Stack, load_definitions
from tests.imaging.rollouts import CATEGORY, NEW, OLD, Nodes, cluster, up


def record(stage: str, **formers: str) -> Record:
    nodes = {name: NodeRecord(former, VERIFIED) for name, former in formers.items()}
    return Record(CATEGORY, OLD, NEW, stage, "d", nodes)


def way(stage: str, there: Cluster, states: Mapping[str, NodeStatus] = {}, **formers: str) -> Return:
    return back.make(CATEGORY, record(stage, **formers), there, {**up(3).states, **states})


def test_there_must_be_something_to_go_back_to() -> None:
    with pytest.raises(NoWayBack, match="no image was built"):
        back.make(CATEGORY, None, cluster(1), {})
    with pytest.raises(NoWayBack, match="does not know image gone"):
        back.make(CATEGORY, replace(record(DONE), source="gone"), cluster(1), {})


@pytest.mark.parametrize("stage", STAGES)
def test_an_image_that_was_changed_in_place_is_only_forgotten(stage: str) -> None:
    made = back.make(CATEGORY, replace(record(stage, n1=""), source=NEW), cluster(1, image=NEW), {})
    assert made.unused and made.in_place and not (made.category_too or made.owns or made.nodes)


def test_a_build_that_nobody_uses_is_only_forgotten() -> None:
    made = way(BUILT, cluster(2))
    assert made.unused and not made.in_place and made.record.stage == BUILT
    gone = replace(cluster(2), images={})
    assert way(BUILT, gone).unused, "whatever became of the images"


def test_a_build_that_somebody_uses_already_is_a_way_back() -> None:
    by_category = way(BUILT, cluster(2, image=NEW))
    assert (by_category.unused, by_category.category_too, by_category.nodes) == (False, True, ("n1", "n2"))
    by_node = way(BUILT, cluster(2, {"n2": NEW}))
    assert (by_node.unused, by_node.owns, by_node.nodes) == (False, {"n2": ""}, ("n2",))


def test_a_rollout_that_stopped() -> None:
    """Those that it came to get back what they had of their own."""
    there = cluster(3, {"n1": NEW, "n2": NEW})
    made = way(ROLLING, there, n1="", n2="third")
    assert (made.category_too, made.owns, made.nodes) == (False, {"n1": "", "n2": "third"}, ("n1", "n2"))
    assert made.record.stage == RETURNING and {node.state for node in made.record.nodes.values()} == {MOVED}


def test_a_rollout_that_ended_takes_all_nodes_back() -> None:
    made = way(DONE, cluster(3, image=NEW), n1="", n2="third")
    assert (made.category_too, made.owns, sorted(made.nodes)) == (True, {"n2": "third"}, ["n1", "n2", "n3"])


def test_an_image_that_somebody_gave_a_node_meanwhile_stays() -> None:
    made = way(DONE, cluster(3, {"n1": "third"}, image=NEW), n1="")
    assert "n1" not in made.owns


def test_a_category_that_has_another_image_now_keeps_it() -> None:
    assert way(DONE, cluster(1, image="third"), n1="").category_too is False


def test_nodes_that_are_off_follow_at_their_next_boot() -> None:
    made = way(ROLLING, cluster(2, {"n1": NEW, "n2": NEW}), {"n2": NodeStatus("DOWN")}, n1="", n2="")
    assert (made.nodes, made.left, set(made.owns)) == (
        ("n1",),
        {"n2": "is DOWN: it follows at its next boot"},
        {"n1", "n2"},
    )


def test_who_has_another_image_now_is_left() -> None:
    made = way(DONE, cluster(3, {"n1": "third"}, image=NEW), n1="", n2="third")
    assert made.left == {"n1": "has image third now"}
    assert made.images == {"n2": "third", "n3": OLD}, "n2 gets back what it had"
    by_category = way(DONE, cluster(2, {"n2": NEW}, image="third"), n1="", n2="")
    assert (by_category.left, by_category.images) == ({"n1": "has image third now"}, {"n2": "third"})


def test_who_left_the_category_or_bcm_is_told_and_blocks_nothing() -> None:
    there = cluster(1)
    moved = replace(there.nodes["login"], name="n2", image=NEW)
    made = way(ROLLING, replace(there, nodes={**there.nodes, "n2": moved}), n1="", n2="", n3="")
    left = {"n2": "is in category login now: it follows at its next boot", "n3": "is not in BCM any more"}
    assert (made.left, made.nodes, made.owns) == (left, ("n1",), {"n2": ""})


def test_a_name_that_cannot_be_sent_is_left() -> None:
    there = cluster(1, image=NEW)
    odd = replace(there, nodes={**there.nodes, "rack[1]": replace(there.nodes["n1"], name="rack[1]")})
    made = back.make(CATEGORY, record(DONE), odd, {**up(1).states, "rack[1]": NodeStatus("UP")})
    assert (made.nodes, list(made.left)) == (("n1",), ["rack[1]"])


def test_an_image_of_its_own_that_is_gone_is_none() -> None:
    assert way(ROLLING, cluster(1, {"n1": NEW}), n1="gone").owns == {"n1": ""}


def test_a_category_that_was_set_back_by_hand() -> None:
    """All its nodes had the image, also those that were off when it was rolled out."""
    made = way(DONE, cluster(3), n1="", n2="")
    assert (made.category_too, made.owns, sorted(made.nodes)) == (False, {}, ["n1", "n2", "n3"])
    assert set(made.images.values()) == {OLD}


def test_a_category_that_lost_its_image_with_the_one_that_was_built() -> None:
    assert way(DONE, cluster(1, image=""), n1="").category_too


def test_a_rollback_goes_on_with_what_is_left() -> None:
    made = way(RETURNING, cluster(2), n1="", n2="")
    assert (made.nodes, made.owns) == ((), {})
    begun = replace(
        record(RETURNING, n1="", n2=""), nodes={"n1": NodeRecord("", VERIFIED), "n2": NodeRecord("", FAILED)}
    )
    assert back.make(CATEGORY, begun, cluster(2), up(2).states).nodes == ("n2",)


def returning(made: Return, nodes: Nodes) -> Returning:
    return Returning(made, Amount(2), nodes.means(), nodes.stale)


def test_category_own_images_then_waves() -> None:
    nodes = up(3)
    nodes.stale_of = {"n3": {"a"}}
    one = returning(way(DONE, cluster(3, {"n1": NEW}, image=NEW), n1="", n2="third"), nodes)
    one.run()
    assert nodes.said == [
        *(f"category {OLD}", "use - n1", "use third n2"),
        *("sync n1,n2", "sync n3", "restart a n3"),
    ]
    assert nodes.saved[0].stage == RETURNING, "before anything else"
    assert {node.state for node in one.record.nodes.values()} == {VERIFIED}


def test_a_node_that_does_not_come_back_keeps_no_other() -> None:
    nodes = up(3)
    nodes.differ = {"n1": [Difference("/x", "still there")], "n2": None}
    one = returning(way(DONE, cluster(3, image=NEW)), nodes)
    one.run()
    assert {name: node.state for name, node in one.record.nodes.items()} == {"n1": FAILED, "n2": FAILED, "n3": VERIFIED}
    text = str(NotBack(CATEGORY, one.failed))
    for words in ("2 nodes are not back: n[1-2]", "/x: still there", "n2: it does not tell", "Go on: "):
        assert words in text


REQUIRED = NodeStatus("UP", ("restart-required",))


def test_a_node_that_may_need_a_boot_says_so() -> None:
    nodes = up(2)
    nodes.states.update(n1=REQUIRED, n2=REQUIRED)
    nodes.differ["n1"] = [Difference("/x", "still there")]
    one = returning(way(DONE, cluster(2, image=NEW)), nodes)
    one.run()
    assert one.failed["n1"].endswith("BCM says restart-required: it may need --reboot")
    assert list(one.failed) == ["n1"] and "reboot" not in "".join(nodes.said)


def test_nodes_boot_where_one_decides_so(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = up(2)
    nodes.states["n1"] = REQUIRED
    nodes.differ["n1"] = [Difference("/x", "still there")]

    def boot(some: Collection[str]) -> None:
        nodes.said.append(f"reboot {','.join(some)}")
        nodes.differ.clear()
        nodes.states.update(dict.fromkeys(some, NodeStatus("UP")))

    monkeypatch.setattr(nodes, "reboot", boot)
    one = Returning(way(DONE, cluster(2, image=NEW)), Amount(2), nodes.means(), nodes.stale, True, 60)
    one.run()
    assert one.failed == {} and "reboot n1" in nodes.said


class Told:
    """Nodes whose files are those of trees: `execute` runs the command there."""

    def __init__(self, **trees: Path) -> None:
        self.trees, self.calls = trees, 0

    def execute(self, nodes: Collection[str], command: str) -> Mapping[str, str]:
        self.calls += 1
        told = {}
        for name in (node for node in nodes if node in self.trees):
            line = command.replace("/etc/..", f"{self.trees[name]}/etc/..")
            told[name] = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False).stdout
        return told


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Tree, Tree]:
    """The image before, and one with a file, a changed file, and a link of ours."""
    source, image = (Tree(name, tmp_path / name, f"/cm/images/{name}") for name in (OLD, NEW))
    for tree in (source, image):
        (tree.root / "etc").mkdir(parents=True)
        (tree.root / "etc/theirs").write_text("theirs\n")
    provider = TreeProvider("file", 1, 1, [image])
    provider.write(f"{NEW}:/usr/lib/ours", None, file_state(b"ours\n", 0o755))
    provider.write(f"{NEW}:/etc/theirs", None, file_state(b"ours\n", 0o600))
    provider.write(f"{NEW}:/usr/lib/link", None, link_state("ours"))
    return source, image


def differing(trees: tuple[Tree, Tree], nodes: Told, names: list[str]) -> dict[str, Any]:
    bcm: Any = nodes
    source, image = trees
    found = asbefore.differing(bcm, names, Manifest(image.root, image.manifest), source)
    return {name: told and {one.path: one.what for one in told} for name, told in found.items()}


def test_a_node_as_the_image_before_is_back(trees: tuple[Tree, Tree]) -> None:
    nodes = Told(a=trees[0].root, b=trees[0].root)
    assert differing(trees, nodes, ["a", "b", "silent"]) == {"a": [], "b": [], "silent": None}
    assert nodes.calls == 1


def test_whatever_is_left_of_the_other_image_is_told(trees: tuple[Tree, Tree]) -> None:
    assert differing(trees, Told(a=trees[1].root), ["a"])["a"] == {
        "/usr/lib/ours": "still there",
        "/usr/lib/link": "still there",
        "/etc/bcm-jobstats/manifest.json": "still there",
        "/etc/theirs": "not as in the image",
    }


def test_without_the_left_image_the_one_before_tells(tmp_path: Path, trees: tuple[Tree, Tree]) -> None:
    """What it has of ours has to be there; that its manifest is, or is not, tells that the node was synced."""
    source, image = trees
    bcm: Any = Told(new=image.root, old=source.root)
    found = asbefore.differing(bcm, ["new", "old"], None, source)
    assert found == {"old": [], "new": [Difference("/etc/bcm-jobstats/manifest.json", "still there")]}
    TreeProvider("file", 1, 1, [source]).write(f"{OLD}:/usr/lib/former", None, file_state(b"former\n", 0o755))
    (tmp_path / "node").mkdir()
    bcm = Told(new=image.root, old=source.root, none=tmp_path / "node")
    found = asbefore.differing(bcm, ["new", "old", "none"], None, source)
    told = {name: sorted(one.path for one in some or ()) for name, some in found.items()}
    both = ["/etc/bcm-jobstats/manifest.json", "/usr/lib/former"]
    assert told == {"old": [], "new": both, "none": both}


@pytest.mark.parametrize("change", ["content", "mode", "missing"])
def test_what_the_image_before_had_must_be_back_as_it_was(
    tmp_path: Path, trees: tuple[Tree, Tree], change: str
) -> None:
    node = tmp_path / "node/etc/theirs"
    node.parent.mkdir(parents=True)
    node.write_text("others\n" if change == "content" else "theirs\n")
    if change == "mode":
        node.chmod(0o666)
    elif change == "missing":
        node.unlink()
    told = differing(trees, Told(a=tmp_path / "node"), ["a"])["a"]
    assert told == {"/etc/theirs": "missing" if change == "missing" else "not as in the image"}


def test_services_whose_files_differ_are_restarted(tmp_path: Path) -> None:
    """Not those of which the image before has nothing: they cannot run there."""
    stack = Stack(Site(), load_definitions())
    trees = [Tree(name, tmp_path / name, "/") for name in (NEW, OLD)]
    unit = "etc/systemd/system/{}.service"
    for tree, text in zip(trees, ("new", "old")):
        for path in (unit.format("node_exporter"), "usr/local/bin/cgroup_exporter"):
            file = tree.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        same = tree.root / unit.format("jobstats-target")
        same.write_text("same")
    (trees[0].root / unit.format("nvidia_gpu_exporter")).write_text("new")
    assert asbefore.changed_services(stack, *trees) == ["cgroup_exporter", "node_exporter"]
    gone = asbefore.changed_services(stack, None, trees[1])
    assert gone == ["cgroup_exporter", "jobstats-target", "node_exporter"], "nobody knows what it had"
