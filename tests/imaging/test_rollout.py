"""Which nodes go when, and what stops a rollout; all of it against stand-ins, see also test_rollout_cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bcm_jobstats.bcm.errors import UnsafeName
from bcm_jobstats.bcm.imagework import NodeStatus
from bcm_jobstats.imaging.drift import Difference
from bcm_jobstats.imaging.record import (
    BUILDING,
    BUILT,
    CLONING,
    DONE,
    FAILED,
    GRABBING,
    MOVED,
    RETURNING,
    ROLLING,
    UPDATED,
    VERIFIED,
    NodeRecord,
    Record,
)  # fmt: skip
from bcm_jobstats.imaging.rolled import CannotRoll, record_for
from bcm_jobstats.imaging.rolling import Rolling, Stopped
from bcm_jobstats.imaging.rollout import Options, RolloutPlan, make
from bcm_jobstats.imaging.waves import Wave
from bcm_jobstats.site import Rollout
from tests.imaging.rollouts import CATEGORY, NEW, OLD, Nodes, cluster, names, options, up

BUILT_RECORD = Record(CATEGORY, OLD, NEW, BUILT, "d1")


def record(stage: str, **nodes: str) -> Record:
    return Record(CATEGORY, OLD, NEW, stage, "d1", {name: NodeRecord("", state) for name, state in nodes.items()})


def test_without_a_record_nodes_are_brought_to_the_image_they_have() -> None:
    assert record_for(CATEGORY, None, cluster(1), "d") == Record(CATEGORY, OLD, OLD, ROLLING, "d")


REFUSED = {
    CLONING: (OLD, "image build"),
    BUILDING: (OLD, "image build"),
    RETURNING: (OLD, "image rollback"),
    BUILT: ("third", "Set it to dgx-image in"),
    ROLLING: ("third", "Set it to dgx-image in"),
    DONE: (OLD, "Set it to dgx-image-jobstats in cmsh, or run: bcm-jobstats image rollback"),
}


@pytest.mark.parametrize(("stage", "image", "remedy"), [(stage, *rest) for stage, rest in REFUSED.items()])
def test_stages_at_which_nothing_can_be_rolled_out(stage: str, image: str, remedy: str) -> None:
    with pytest.raises(CannotRoll) as error:
        record_for(CATEGORY, record(stage), cluster(1, image=image), "d1")
    assert remedy in error.value.remedy


def test_a_grab_is_gone_on_with_by_a_grab() -> None:
    with pytest.raises(CannotRoll, match="has not ended") as error:
        record_for(CATEGORY, replace(record(CLONING), digest=GRABBING), cluster(1), "d1")
    assert error.value.remedy == "Run the same `image grab` again."


def test_an_image_that_is_gone_cannot_be_set_again() -> None:
    there = cluster(1)
    gone = replace(there, images={name: image for name, image in there.images.items() if name != NEW})
    with pytest.raises(CannotRoll) as error:
        record_for(CATEGORY, record(DONE), gone, "")
    assert error.value.remedy == "Run: bcm-jobstats image rollback dgx"


def test_an_unknown_category_is_told_with_those_there_are() -> None:
    with pytest.raises(CannotRoll, match="dgx, login"):
        record_for("dxg", None, cluster(1))


def test_what_was_seen_to_work_counts_for_the_same_image_only() -> None:
    before = record(ROLLING, n1=VERIFIED)
    assert record_for(CATEGORY, before, cluster(1), "d1").nodes["n1"].state == VERIFIED
    assert record_for(CATEGORY, before, cluster(1), "d2").nodes["n1"].state == MOVED


def test_a_rollout_that_ended_begins_anew_and_keeps_what_was_before() -> None:
    before = replace(record(DONE), nodes={"n1": NodeRecord("third", VERIFIED)})
    again = record_for(CATEGORY, before, cluster(1, image=NEW), "d1")
    assert (again.stage, again.source, again.nodes) == (ROLLING, OLD, {"n1": NodeRecord("third", MOVED)})


def plan(count: int, of: Record = BUILT_RECORD, *, own: dict[str, str] = {}, **more: object) -> RolloutPlan:  # noqa: B006
    nodes = up(count)
    nodes.states.update(more.pop("states", {}))  # type: ignore[call-overload]
    return make(of, cluster(count, own), nodes.states, options(**more))  # type: ignore[arg-type]


def shape(made: RolloutPlan) -> list[str]:
    return [("!" if wave.canary else "") + ",".join(wave.nodes) for wave in made.waves]


def test_a_canary_and_waves() -> None:
    made = plan(5)
    assert shape(made) == ["!n1", "n2,n3", "n4,n5"]
    assert (made.formers["n5"], made.uses["n5"], made.left, made.ends) == ("", OLD, {}, True)


def test_canaries_can_be_named_or_counted() -> None:
    assert shape(plan(5, canary=("n4",))) == ["!n4", "n1,n2", "n3,n5"]
    assert shape(plan(5, canaries=2)) == ["!n1,n2", "n3,n4", "n5"]


def test_nodes_that_are_not_up_are_left() -> None:
    made = plan(3, states={"n1": NodeStatus("DOWN"), "n3": NodeStatus("CLOSED")})
    assert shape(made) == ["!n2"]
    assert {name: why.partition(":")[0] for name, why in made.left.items()} == {"n1": "is DOWN", "n3": "is CLOSED"}
    assert made.ends, "they follow their category"


def test_an_image_of_a_nodes_own_is_left_alone_unless_it_is_named() -> None:
    made = plan(3, own={"n2": "third", "n3": NEW})
    assert shape(made) == ["!n1", "n3"]
    assert "third" in made.left["n2"]
    named = plan(3, own={"n2": "third"}, nodes=("n2",))
    assert (shape(named), named.formers["n2"], named.waiting, named.ends) == (["!n2"], "third", ("n1", "n3"), False)


def test_the_image_of_the_category_is_none_of_their_own() -> None:
    """Some BCM may list it for every node (capability inherited-image); one node that has it of its own keeps it."""
    listed = plan(3, own=dict.fromkeys(names(3), OLD))
    assert (set(listed.formers.values()), listed.left) == ({""}, {})
    one = plan(3, own={"n2": OLD})
    assert (one.formers, one.left) == ({"n1": "", "n2": OLD, "n3": ""}, {})


def test_what_was_before_is_kept_whatever_the_node_has_now() -> None:
    made = plan(2, replace(record(ROLLING), nodes={"n1": NodeRecord("third", MOVED)}), own={"n1": NEW})
    assert (made.formers["n1"], made.uses["n1"]) == ("third", NEW)


def test_a_rollout_goes_on_with_what_is_left() -> None:
    made = plan(5, record(ROLLING, n1=VERIFIED, n2=VERIFIED, n3=FAILED), own=dict.fromkeys(names(3), NEW))
    assert (shape(made), made.done) == (["n3,n4", "n5"], ("n1", "n2"))
    assert shape(plan(2, record(ROLLING, n1=FAILED))) == ["!n1", "n2"], "the canary again"


def test_part_of_a_repair_is_a_whole_one() -> None:
    made = make(record(ROLLING), cluster(3, image=NEW), up(3).states, options(nodes=("n2",)), repair=True)
    assert (shape(made), made.ends) == (["!n2"], True)


def test_strangers_are_refused() -> None:
    for option, name in (("canary", "login"), ("nodes", "nobody")):
        with pytest.raises(CannotRoll, match=f"node {name}: is not in category dgx"):
            make(BUILT_RECORD, cluster(2), up(2).states, replace(options(), **{option: (name,)}))  # type: ignore[arg-type]
    with pytest.raises(CannotRoll, match="canary n1: is DOWN"):
        plan(2, canary=("n1",), states={"n1": NodeStatus("DOWN")})


def test_a_canary_has_to_be_among_those_that_go() -> None:
    with pytest.raises(CannotRoll, match="canary n1: is not among the nodes that go"):
        plan(3, canary=("n1",), nodes=("n2", "n3"))
    done = plan(3, record(ROLLING, n1=VERIFIED), own={"n1": NEW}, canary=("n1",))
    assert shape(done) == ["n2,n3"], "it went before"


def test_what_was_seen_to_work_and_has_another_image_now_goes_again() -> None:
    before = record(ROLLING, n1=VERIFIED, n2=VERIFIED)
    made = plan(3, before, own={"n1": OLD, "n2": "third"})
    assert (shape(made), made.done, list(made.left)) == (["!n1", "n3"], (), ["n2"])


def test_a_repair_leaves_alone_what_somebody_gave_a_node_since() -> None:
    for former in ("", "third"):
        before = replace(record(DONE), nodes={"n1": NodeRecord(former, VERIFIED)})
        of = record_for(CATEGORY, before, cluster(1, image=NEW), "d1")
        made = make(of, cluster(2, {"n1": "third"}, image=NEW), up(2).states, options(), repair=True)
        assert (shape(made), "third" in made.left["n1"]) == (["!n2"], True)


def test_names_that_cannot_be_sent_are_refused_before_anything_begins() -> None:
    there = cluster(1)
    odd = replace(there, nodes={**there.nodes, "rack[1]": replace(there.nodes["n1"], name="rack[1]")})
    states = {**up(1).states, "rack[1]": NodeStatus("UP")}
    with pytest.raises(UnsafeName, match=r"rack\[1\]"):
        make(BUILT_RECORD, odd, states, options())
    assert shape(make(BUILT_RECORD, odd, states, options(nodes=("n1",)))) == ["!n1"]


def test_the_site_file_has_the_rest() -> None:
    told = Options.of(Rollout())
    assert (str(told.wave), str(told.most), told.settle, told.timeout, told.canaries) == ("10%", "0", 20, 900, 1)


def rolling(made: RolloutPlan, nodes: Nodes, **more: object) -> Rolling:
    return Rolling(made, options(**more), nodes.means())  # type: ignore[arg-type]


def stopped(one: Rolling) -> str:
    with pytest.raises(Stopped) as error:
        one.run()
    return str(error.value)


def states(one: Rolling) -> dict[str, str]:
    return {name: node.state for name, node in one.record.nodes.items()}


def test_each_wave_is_moved_synced_and_looked_at() -> None:
    nodes = up(3)
    nodes.stale_of = {"n2": {"b"}, "n3": {"a"}}
    one = rolling(plan(3), nodes)
    one.run()
    assert nodes.said == [
        *(f"use {NEW} n1", "sync n1", "job n1"),
        *(f"use {NEW} n2,n3", "sync n2,n3", "restart a+b n2,n3", "job n2"),
    ]
    assert states(one) == dict.fromkeys(names(3), VERIFIED)
    told = [[node.state for node in saved.nodes.values()] for saved in nodes.saved]
    others = [[VERIFIED, state, state] for state in (MOVED, UPDATED, VERIFIED)]
    assert told == [[MOVED], [UPDATED], [VERIFIED], *others]


def test_who_uses_the_image_already_is_only_synced() -> None:
    nodes = up(2)
    rolling(plan(2, own={"n1": NEW}), nodes).run()
    assert nodes.said[:2] == ["sync n1", "job n1"]


@pytest.mark.parametrize("trouble", ["gate", "files", "silence", "down", "job"])
def test_a_canary_that_fails_stops_it_and_no_other_node_is_touched(trouble: str) -> None:
    nodes = up(4)
    if trouble == "gate":
        nodes.verdicts_of["n1"] = "exporter: it failed\n    bind: address already in use"
    elif trouble == "files":
        nodes.differ["n1"] = [Difference(f"/{number}", "missing") for number in range(5)]
    elif trouble == "silence":
        nodes.differ["n1"] = None
    elif trouble == "down":
        nodes.states["n1"] = NodeStatus("DOWN")
    else:
        nodes.jobs["n1"] = "srun ended with status 1"
    one = rolling(
        plan(4, canary=("n1",)) if trouble != "down" else replace(plan(4), waves=_waves()), nodes, most="100%"
    )
    text = stopped(one)
    assert not [said for said in nodes.said if "n2" in said]
    assert states(one) == {"n1": FAILED}
    for words in ("n1: ", "0 done, 1 failed, 3 left: n[2-4] not touched", "image rollout dgx", "image rollback dgx"):
        assert words in text
    reason = {"gate": "bind: address", "files": "/0: missing; /1: missing; /2: missing, and 2 more",
              "silence": "does not tell", "down": "it is DOWN", "job": "test job: srun"}[trouble]  # fmt: skip
    assert reason in text and reason in nodes.saved[-1].nodes["n1"].reason


def _waves() -> tuple[Wave, ...]:
    return (Wave(("n1",), canary=True), Wave(("n2", "n3", "n4")))


def test_some_may_fail_after_the_canary() -> None:
    nodes = up(6)
    nodes.verdicts_of = {"n2": "x", "n4": "y"}
    one = rolling(plan(6), nodes, most="2")
    one.run()
    assert one.failed() == {"n2": "x", "n4": "y"} and len(one.verified()) == 4
    nodes = up(6)
    nodes.verdicts_of = {"n2": "x", "n4": "y"}
    one = rolling(plan(6), nodes, most="1")
    assert "n4: y" in stopped(one)
    assert one.untouched() == ["n6"]


def test_failures_of_an_earlier_run_do_not_count_until_they_come_again() -> None:
    nodes = up(3)
    before = record(ROLLING, n1=VERIFIED, n2=FAILED, n3=FAILED)
    one = rolling(plan(3, before, own=dict.fromkeys(names(3), NEW), wave="1"), nodes)
    one.run()
    assert states(one) == dict.fromkeys(names(3), VERIFIED)


REQUIRED = NodeStatus("UP", ("restart-required",))


def test_restart_required_stops_it_unless_one_decides() -> None:
    nodes = up(2)
    nodes.states["n1"] = REQUIRED
    one = rolling(plan(2), nodes)
    assert "restart-required of n1" in stopped(one)
    assert states(one) == {"n1": UPDATED}
    rolling(plan(2), nodes, no_reboot=True).run()


def test_a_node_that_was_not_synced_is_a_failure_of_that_node() -> None:
    """Its imageupdate failed, so BCM wants it to boot; those that may fail may be as many as ever."""
    for most, stops in (("1", False), ("0", True)):
        nodes = up(3)
        nodes.states["n2"] = REQUIRED
        nodes.differ["n2"] = [Difference("/x", "missing")]
        one = rolling(plan(3), nodes, most=most)
        if stops:
            assert "too many failed" in stopped(one)
        else:
            one.run()
        assert states(one) == {"n1": VERIFIED, "n2": FAILED, "n3": VERIFIED}
        assert one.failed()["n2"].endswith("/x: missing; BCM says restart-required: it may need --reboot")


def test_a_node_that_went_down_with_its_update_is_a_failure_too() -> None:
    nodes = up(3)
    made = plan(3)
    nodes.states["n3"] = NodeStatus("DOWN", ("restart-required",))
    one = rolling(made, nodes, most="1")
    one.run()
    assert one.failed() == {"n3": "it is DOWN"}


def test_failures_are_on_record_where_restart_required_stops_it() -> None:
    nodes = up(3)
    made = plan(3)
    nodes.states.update({"n2": NodeStatus("DOWN"), "n3": REQUIRED})
    one = rolling(made, nodes, most="100%")
    text = stopped(one)
    assert "restart-required of n3 after" in text and "n2: it is DOWN" in text
    assert states(one) == {"n1": VERIFIED, "n2": FAILED, "n3": UPDATED}


def test_a_repair_gives_no_node_an_image_of_its_own() -> None:
    nodes = up(2)
    nodes.verdicts_of["n2"] = "x"
    of = Record(CATEGORY, OLD, OLD, ROLLING, "d")
    made = make(of, cluster(2, {"n2": "third"}), nodes.states, options(nodes=("n2",)), repair=True)
    text = stopped(rolling(made, nodes))
    assert nodes.said == ["use - n2", "sync n2"]
    assert "Go on: " in text and "Go back" not in text


def test_a_reboot_is_waited_for() -> None:
    nodes = up(2)
    nodes.states["n2"] = REQUIRED

    def later(seconds: float) -> None:
        nodes.now += seconds
        if nodes.now > 20:
            nodes.states["n2"] = NodeStatus("UP")

    made = plan(2)
    means = nodes.means()
    means.pause = later
    Rolling(made, options(reboot=True), means).run()
    assert [said for said in nodes.said if "reboot" in said] == ["reboot n2"]
    assert nodes.now == 25


def test_a_node_that_gets_its_new_image_at_a_boot_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Capability imageupdate-new-image."""
    nodes = up(2)
    nodes.differ["n1"] = [Difference("/x", "missing")]
    assert "n1: it is not as the image" in stopped(rolling(plan(2), nodes))
    real = nodes.reboot

    def boot(some: list[str]) -> None:
        real(some)
        nodes.differ.clear()
        nodes.states.update(dict.fromkeys(some, NodeStatus("UP")))

    monkeypatch.setattr(nodes, "reboot", boot)
    nodes.said.clear()
    one = rolling(plan(2), nodes, reboot=True)
    one.run()
    assert [said for said in nodes.said if "reboot" in said] == ["reboot n1"]
    assert states(one) == dict.fromkeys(names(2), VERIFIED)


def test_a_node_that_does_not_come_back_fails() -> None:
    nodes = up(1)
    nodes.states["n1"] = REQUIRED
    assert "n1: it is BOOTING" in stopped(rolling(plan(1), nodes, reboot=True))


def test_a_head_that_is_passive_now_changes_nothing_more() -> None:
    nodes = up(2)
    one = rolling(plan(2), nodes)
    one.means.job = lambda node: nodes.__setattr__("passive", True) or ""  # type: ignore[func-returns-value]
    with pytest.raises(KeyError):
        one.run()
    assert not [said for said in nodes.said if "n2" in said]


def test_a_failover_between_image_and_update(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = up(1)
    monkeypatch.setattr(nodes, "use", lambda some, image: setattr(nodes, "passive", True))
    with pytest.raises(KeyError):
        rolling(plan(1), nodes).run()
    assert nodes.said == []


@pytest.mark.parametrize("at", [f"use {NEW}", "sync", "restart a", "job"])
def test_an_interrupted_rollout_is_gone_on_with(at: str) -> None:
    nodes = up(3)
    nodes.stale_of = {"n2": {"a"}}
    nodes.fail_at = at
    one = rolling(plan(3), nodes)
    with pytest.raises(KeyboardInterrupt):
        one.run()
    left = nodes.saved[-1]
    again = up(3)
    again.stale_of = {"n2": {"a"}}
    second = rolling(plan(3, left, own=dict.fromkeys(left.nodes, NEW)), again)
    second.run()
    assert states(second) == dict.fromkeys(names(3), VERIFIED)
    assert "n1" not in ",".join(again.said) or left.nodes["n1"].state != VERIFIED


@pytest.mark.parametrize("count", [4, 400])
def test_the_number_of_calls_does_not_depend_on_the_nodes(count: int) -> None:
    nodes = up(count)
    nodes.stale_of = {name: {"a"} for name in names(count)}
    one = rolling(plan(count, wave="100%"), nodes, wave="100%")
    one.run()
    assert one.means.calls == {"use": 2, "sync": 2, "status": 2, "compare": 2, "reload": 2, "restart": 2, "health": 2}
