"""The agent against a node that does what the ports say."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest

from bcm_jobstats.node.agent import Agent
from bcm_jobstats.node.config import Config, Exporter
from bcm_jobstats.node.ports import NotListed, Unknown
from bcm_jobstats.node.registration import files
from bcm_jobstats.node.runner import SETTLING
from tests.node.fakes import NEVER, TARGETS, FakeRegistry, Node

ALL = {"node_exporter", "cgroup_exporter", "nvidia_gpu_exporter"}
STARTED = "started node_exporter, cgroup_exporter, nvidia_gpu_exporter"


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def target(node: Node, host: str = "node001") -> dict[str, bytes]:
    return files(host, node.config.cluster, node.config.exporters)


def state(node: Node, host: str = "node001") -> dict[str, object]:
    found: dict[str, object] = json.loads((node.states / f"{host}_state.json").read_bytes())
    return found


def test_a_role_given_and_taken(node: Node) -> None:
    agent = node.agent()
    outcome = agent.cycle()
    assert (outcome.host, outcome.has, outcome.unknown, outcome.problems) == ("node001", True, None, ())
    assert node.running == ALL
    assert node.targets.files == target(node)
    assert dict(outcome.services) == dict.fromkeys(ALL, "active")
    assert dict(outcome.targets) == {"node001.json": True}
    assert node.said() == ["node001 has slurmclient", STARTED, f"wrote {TARGETS}/node001.json"]
    assert state(node)["has_slurmclient_role"] is True

    node.done()
    agent.cycle()
    agent.cycle()
    assert (node.done(), node.said()) == ([], []), "nothing is done or said while nothing changes"

    node.roles.nodes["node001"] = False
    outcome = agent.cycle()
    assert (node.running, node.targets.files) == (set(), {})
    assert outcome.has is False
    assert dict(outcome.targets) == {"node001.json": False}
    assert dict(outcome.services) == dict.fromkeys(ALL, "inactive")
    assert outcome.changes == tuple(node.said())
    assert outcome.changes == (
        "node001 does not have slurmclient",
        f"removed {TARGETS}/node001.json",
        "stopped node_exporter, cgroup_exporter, nvidia_gpu_exporter",
    )
    node.done()
    agent.cycle()
    assert (node.done(), node.said()) == ([], [])


def test_the_target_goes_before_the_services_and_comes_after_them(node: Node) -> None:
    agent = node.agent()
    agent.cycle()
    assert node.done()[-1] == "put node001.json"
    node.roles.nodes["node001"] = False
    agent.cycle()
    assert node.done()[0] == "remove node001.json"


def test_exporters_of_two_roles_have_a_file_each(tmp_path: Path) -> None:
    dcgm = Exporter("dcgm-exporter", "dcgm-exporter", 9400, "+dcgm-exporter")
    node = Node(tmp_path, Config(exporters=(*Config().exporters, dcgm)))
    agent = node.agent()
    agent.cycle()
    assert set(node.targets.files) == {"node001.json", "node001+dcgm-exporter.json"}
    assert node.running == {*ALL, "dcgm-exporter"}
    node.roles.nodes["node001"] = False
    agent.cycle()
    assert node.targets.files == {}


@pytest.mark.parametrize("has", [True, False])
def test_unknown_changes_nothing_and_is_said_once(node: Node, has: bool) -> None:
    node.roles.nodes["node001"] = has
    agent = node.agent()
    agent.cycle()
    node.done(), node.said()
    before = (dict(node.services.units), dict(node.targets.files))
    node.roles.nodes["node001"] = not has
    node.roles.fault = NEVER
    for _ in range(30):
        outcome = agent.cycle()
        assert (outcome.has, outcome.unknown) == (has, NEVER)
    node.roles.fault = Unknown("BCM", "tells nonsense")
    for _ in range(10):
        agent.cycle()
    assert (dict(node.services.units), dict(node.targets.files)) == before
    assert node.done() == []
    assert node.said() == ["BCM: does not answer; Is it up?", "BCM: tells nonsense"]
    node.roles.fault = None
    while agent.cycle().unknown:
        pass
    assert "BCM: is in order again" in node.said()
    assert node.running == (set() if has else ALL)


def test_unknown_from_the_beginning_touches_nothing(node: Node) -> None:
    node.services.units["node_exporter"] = "active"
    node.targets.files["node001.json"] = b"of another"
    node.roles.nodes = {}
    agent = node.agent()
    agent.start_up()
    outcome = agent.cycle()
    assert outcome.has is None
    assert dict(outcome.services)["node_exporter"] == "active"
    assert node.done() == []
    assert node.targets.files == {"node001.json": b"of another"}


def test_the_last_known_role_goes_on_being_kept_while_bcm_is_away(node: Node) -> None:
    agent = node.agent()
    agent.cycle()
    node.roles.fault = NEVER
    agent.cycle()
    node.services.units["cgroup_exporter"] = "failed"
    node.targets.files.clear()
    agent.cycle()
    assert node.running == ALL
    assert node.targets.files == target(node)


@pytest.mark.parametrize(("fault", "expected"), [(NEVER, [1, 1] + [0, 1] * 9), (NotListed("node", "x"), [1] * 20)])
def test_bcm_that_is_away_is_asked_less(node: Node, fault: Unknown, expected: list[int]) -> None:
    node.roles.fault = fault
    agent = node.agent()
    asked = []
    for _ in range(20):
        before = node.roles.asked
        outcome = agent.cycle()
        assert 45 <= outcome.wait <= 54
        asked.append(node.roles.asked - before)
    assert asked == expected
    while node.roles.asked == sum(asked):
        agent.cycle()
    before = node.roles.asked
    agent.hurry()
    agent.cycle()
    assert node.roles.asked == before + 1
    node.roles.fault = None
    while agent.cycle().unknown:
        pass
    asked_before = node.roles.asked
    agent.cycle()
    agent.cycle()
    assert node.roles.asked == asked_before + 2


@pytest.mark.parametrize(("share", "first", "later"), [(0.0, 0.0, 45.0), (1.0, 30.0, 51.0)])
def test_waits_are_jittered(node: Node, share: float, first: float, later: float) -> None:
    node.uniform = lambda low, high: low + (high - low) * share
    agent = node.agent()
    assert agent.start_up().wait == first
    assert agent.cycle().wait == later


def test_a_restart_begins_with_the_last_known_role(node: Node) -> None:
    node.agent().cycle()
    node.services.units = dict.fromkeys(ALL, "inactive")
    node.targets.files.clear()
    node.roles.fault = NEVER
    asked = node.roles.asked
    outcome = node.agent().start_up()
    assert node.roles.asked == asked
    assert (outcome.has, outcome.unknown) == (True, None)
    assert node.running == ALL
    assert node.targets.files == target(node)


def test_what_is_known_about_one_role_is_nothing_about_another(node: Node) -> None:
    node.agent().cycle()
    node.config = node.config._replace(role="slurmsubmit")
    node.roles.fault = NEVER
    node.done()
    agent = node.agent()
    agent.start_up()
    assert agent.cycle().has is None
    assert node.done() == []
    node.roles.fault, node.roles.nodes["node001"] = None, False
    while agent.cycle().unknown:
        pass
    assert (node.running, node.targets.files) == (set(), {})


def test_a_service_that_does_not_start_is_tried_again_for_ever(node: Node) -> None:
    node.services.broken = {"cgroup_exporter"}
    agent = node.agent()
    times, began = [], node.clock.time
    for round_ in range(300):
        if round_ == 20:
            agent = node.agent()
            agent.start_up()
        node.done()
        outcome = agent.cycle()
        if "start cgroup_exporter" in node.done():
            times.append(node.clock.time - began - SETTLING)
        node.clock.sleep(outcome.wait)
    assert [round(later - sooner, -2) for sooner, later in zip(times, times[1:])] == [600, 600, 3600, 3600, 3600]
    assert node.running == ALL - {"cgroup_exporter"}
    assert node.targets.files == target(node), "the target follows the role"
    assert dict(outcome.services)["cgroup_exporter"] == "failed"
    said = [line.split(";")[1] for line in node.said() if line.startswith("service cgroup_exporter")]
    assert said == [" tried again every 600 seconds"] * 2 + [" tried again every 3600 seconds"], "once per agent"
    node.services.broken = set()
    while node.running != ALL:
        node.clock.sleep(agent.cycle().wait)
    agent.cycle()
    assert node.said()[-1] == "service cgroup_exporter: is in order again"
    assert state(node)["retry_state"] == {}


def test_a_missing_unit_is_told_and_not_tried(node: Node) -> None:
    del node.services.units["nvidia_gpu_exporter"]
    agent = node.agent()
    agent.cycle()
    agent.cycle()
    assert "start nvidia_gpu_exporter" not in node.done()
    assert node.running == ALL - {"nvidia_gpu_exporter"}
    assert sum("there is no such unit" in line for line in node.said()) == 1
    node.services.units["nvidia_gpu_exporter"] = "inactive"
    agent.cycle()
    assert node.running == ALL


@pytest.mark.parametrize("before", ["active", "activating", "reloading", "failed", "inactive", "deactivating"])
def test_what_runs_is_stopped(node: Node, before: str) -> None:
    node.roles.nodes["node001"] = False
    node.services.units["node_exporter"] = before
    node.agent().cycle()
    stopped = before in ("active", "activating", "reloading")
    assert node.services.units["node_exporter"] == ("inactive" if stopped else before)
    assert ("stop node_exporter" in node.done()) is stopped


def test_a_role_taken_ends_the_retries(node: Node) -> None:
    node.services.broken = {"cgroup_exporter"}
    agent = node.agent()
    agent.cycle()
    assert "cgroup_exporter" in str(state(node)["retry_state"])
    node.roles.nodes["node001"] = False
    assert agent.cycle().problems == ()
    assert state(node)["retry_state"] == {}
    node.services.broken, node.roles.nodes["node001"] = set(), True
    agent.cycle()
    assert node.running == ALL


@pytest.mark.parametrize("has", [True, False])
def test_storage_that_is_lost_is_said_once_and_the_rest_goes_on(node: Node, has: bool) -> None:
    node.roles.nodes["node001"] = not has
    agent = node.agent()
    agent.cycle()
    node.said()
    node.targets.lost = "does not answer"
    node.roles.nodes["node001"] = has
    for _ in range(5):
        outcome = agent.cycle()
    assert node.running == (ALL if has else set())
    assert dict(outcome.targets) == {}
    assert [problem.cause for problem in outcome.problems] == ["does not answer"]
    assert sum("does not answer" in line for line in node.said()) == 1
    node.targets.lost = None
    assert agent.cycle().problems == ()
    assert node.targets.files == (target(node) if has else {})
    said = node.said()
    assert "/targets: is in order again" in said
    assert len(said) == 2


def test_systemd_that_is_lost_is_said_once_and_the_rest_goes_on(node: Node) -> None:
    node.roles.nodes["node001"] = False
    agent = node.agent()
    agent.cycle()
    node.services.lost, node.roles.nodes["node001"] = True, True
    for _ in range(3):
        outcome = agent.cycle()
    assert node.targets.files == target(node)
    assert dict(outcome.services) == {}
    assert sum("systemd" in line for line in node.said()) == 1
    node.services.lost = False
    assert agent.cycle().problems == ()
    assert node.running == ALL
    assert "systemd: is in order again" in node.said()


def test_a_node_that_is_renamed_while_the_agent_runs(node: Node) -> None:
    agent = node.agent()
    agent.cycle()
    node.done(), node.said()
    node.host = "NODE007.cm.cluster"
    node.roles.nodes = {"node007": True}
    outcome = agent.cycle()
    assert outcome.host == "node007"
    assert node.done() == ["put node007.json", "remove node001.json"]
    assert node.said() == [
        "this node was node001 and is node007 now",
        "node007 has slurmclient",
        f"wrote {TARGETS}/node007.json",
        f"removed {TARGETS}/node001.json",
    ]
    assert [path.name for path in node.states.iterdir()] == ["node007_state.json"]
    assert node.running == ALL


@pytest.mark.parametrize("fault", [None, NEVER])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_new_name_that_bcm_does_not_tell_of_changes_nothing(
    node: Node, fault: Optional[Unknown], restarted: bool
) -> None:
    agent = node.agent()
    agent.cycle()
    node.done()
    node.host, node.roles.fault = "node007", fault
    node.services.units["cgroup_exporter"] = "failed"
    for round_ in range(4):
        outcome = agent.cycle()
        assert (outcome.host, outcome.has, dict(outcome.targets)) == ("node007", None, {})
        if restarted and round_ == 1:
            agent = node.agent()
    assert node.done() == []
    assert node.targets.files == target(node)
    node.roles.fault, node.roles.nodes = None, {"node007": False}
    while agent.cycle().unknown:
        pass
    assert (node.running, node.targets.files) == (set(), {})


def test_the_end_under_a_new_name_takes_the_files_of_the_old_one(node: Node) -> None:
    agent = node.agent()
    agent.cycle()
    node.host = "node007"
    agent.cycle()
    agent.withdraw()
    assert node.targets.files == {}


def test_a_renamed_node_that_cannot_write_keeps_its_old_file(node: Node) -> None:
    agent = node.agent()
    agent.cycle()
    node.host, node.targets.lost = "node007", "is read-only"
    node.roles.nodes = {"node007": True}
    agent.cycle()
    assert node.targets.files == target(node)
    node.targets.lost = None
    node.agent().start_up()
    assert node.targets.files == target(node, "node007")


def test_a_node_that_was_renamed_while_the_agent_did_not_run(node: Node) -> None:
    node.agent().cycle()
    node.host = "node007"
    node.roles.fault = NEVER
    node.done()
    agent = node.agent()
    agent.start_up()
    assert agent.cycle().has is None, "BCM spoke of another name"
    assert node.done() == []
    node.roles.fault, node.roles.nodes = None, {"node007": True}
    while agent.cycle().unknown:
        pass
    assert node.targets.files == target(node, "node007")
    assert [path.name for path in node.states.iterdir()] == ["node007_state.json"]


def test_a_name_that_is_none_changes_nothing(node: Node) -> None:
    agent = node.agent()
    agent.cycle()
    node.done(), node.said()
    node.host = "localhost"
    for _ in range(3):
        outcome = agent.cycle()
    assert (outcome.host, outcome.has) == ("node001", True)
    assert outcome.unknown is not None
    assert node.done() == []
    assert len(node.said()) == 1


def test_no_name_from_the_beginning(node: Node) -> None:
    node.host = "localhost.localdomain"
    agent = node.agent()
    agent.start_up()
    outcome = agent.cycle()
    assert (outcome.host, outcome.has, node.roles.asked) == (None, None, 0)
    agent.withdraw()
    assert node.done() == []
    node.host = "node001"
    assert agent.cycle().has is True
    assert node.running == ALL


def test_a_new_targets_directory(node: Node) -> None:
    node.agent().cycle()
    node.config = node.config._replace(targets=Path("/new"))
    node.directories["/targets"].lost = "is not mounted"
    node.agent().start_up()
    assert node.directories["/new"].files == target(node)
    assert set(node.directories["/targets"].files) == {"node001.json"}
    node.directories["/targets"].lost = None
    agent = node.agent()
    assert agent.start_up().problems == ()
    assert node.directories["/targets"].files == {}
    assert state(node)["registered"] == {"/new": ["node001.json"]}


def test_the_old_directory_waits_for_the_new_one(node: Node) -> None:
    node.agent().cycle()
    node.config = node.config._replace(targets=Path("/new"))
    node.directories["/new"] = FakeRegistry(lost="is not mounted", step=node.step)
    agent = node.agent()
    agent.start_up()
    assert node.directories["/targets"].files == target(node)
    node.directories["/new"].lost = None
    agent.cycle()
    assert node.directories["/targets"].files == {}
    assert node.directories["/new"].files == target(node)


def test_a_file_of_the_seed_that_nobody_recorded(node: Node) -> None:
    node.targets.files["node001.json"] = b"[]"
    node.roles.nodes["node001"] = False
    node.agent().cycle()
    assert node.targets.files == {}


def test_a_former_directory_that_was_removed_is_forgotten(node: Node) -> None:
    node.agent().cycle()
    node.config = node.config._replace(targets=Path("/new"))
    node.directories["/targets"].gone = True
    assert node.agent().start_up().problems == ()
    assert state(node)["registered"] == {"/new": ["node001.json"]}
    node.directories["/new"].gone = True
    assert [problem.cause for problem in node.agent().start_up().problems] == ["there is no such folder"]
    assert state(node)["registered"] == {"/new": ["node001.json"]}


def test_what_there_is_is_told_of_the_configured_directory_alone(node: Node) -> None:
    node.agent().cycle()
    node.config = node.config._replace(targets=Path("/new"))
    assert dict(node.agent().start_up().targets) == {"node001.json": True}


@pytest.mark.parametrize("stuck", ["aaa.json", "zzz.json"])
def test_a_name_that_cannot_be_removed_keeps_no_other(node: Node, stuck: str) -> None:
    agent = node.agent()
    agent.cycle()
    assert agent.state is not None
    agent.state.record(str(TARGETS), {"node001.json", "bbb.json", stuck})
    node.targets.files["bbb.json"] = b"[]"
    node.targets.stuck = {stuck}
    node.said()
    for has in (True, False):
        node.roles.nodes["node001"] = has
        for _ in range(3):
            problems = agent.cycle().problems
        assert [problem.subject for problem in problems] == [f"{TARGETS}/{stuck}"]
        assert node.targets.files == (target(node) if has else {})
    assert sum("has a folder in the place" in line for line in node.said()) == 1
    node.targets.stuck = set()
    assert agent.cycle().problems == ()


def test_a_file_that_cannot_be_written_keeps_no_other(tmp_path: Path) -> None:
    dcgm = Exporter("dcgm-exporter", "dcgm-exporter", 9400, "+dcgm-exporter")
    node = Node(tmp_path, Config(exporters=(*Config().exporters, dcgm)))
    node.targets.stuck = {"node001+dcgm-exporter.json"}
    outcome = node.agent().cycle()
    assert set(node.targets.files) == {"node001.json"}
    assert dict(outcome.targets) == {"node001.json": True}
    assert len(outcome.problems) == 1


@pytest.mark.parametrize("has", [True, False])
def test_a_file_of_another_cluster_is_left_alone_and_said_once(node: Node, has: bool) -> None:
    theirs = files("node001", "other", node.config.exporters)
    node.targets.files.update(theirs)
    node.roles.nodes["node001"] = has
    agent = node.agent()
    for _ in range(3):
        outcome = agent.cycle()
    assert node.targets.files == theirs
    assert dict(outcome.targets) == {"node001.json": False}
    assert sum("is of a node of another cluster: other" in line for line in node.said()) == 1
    node.targets.files.clear()
    assert agent.cycle().problems == ()
    assert node.targets.files == (target(node) if has else {})
    node.targets.files.update(theirs)
    agent.withdraw()
    assert node.targets.files == theirs


@pytest.mark.parametrize("reloaded", [False, True])
def test_a_cluster_that_is_called_otherwise_now_has_its_files_all_the_same(node: Node, reloaded: bool) -> None:
    agent = node.agent()
    agent.cycle()
    old = dict(node.targets.files)
    node.config = node.config._replace(cluster="renamed")
    agent = node.agent(former=agent if reloaded else None)
    assert agent.start_up().problems == ()
    assert node.targets.files == target(node) != old
    assert state(node)["clusters"] == ["renamed"]
    node.targets.files.update(old)
    assert len(agent.cycle().problems) == 1, "by now it is another one's"


def test_the_end(node: Node) -> None:
    agent = node.agent()
    agent.cycle()
    agent.withdraw()
    assert node.targets.files == {}
    assert node.running == ALL, "systemd stops them with the agent"
    assert state(node)["has_slurmclient_role"] is True
    node.roles.fault = NEVER
    node.agent().start_up()
    assert node.targets.files == target(node)


def test_the_end_while_storage_is_lost_is_made_up_for(node: Node) -> None:
    agent = node.agent()
    agent.cycle()
    node.targets.lost = "does not answer"
    agent.withdraw()
    node.targets.lost = None
    node.roles.nodes["node001"] = False
    node.host = "node007"
    node.roles.nodes["node007"] = False
    node.agent().cycle()
    assert node.targets.files == {}


@pytest.mark.parametrize("has", [True, False])
def test_dry_run_says_and_does_nothing(node: Node, has: bool) -> None:
    node.roles.nodes["node001"] = not has
    node.agent().cycle()
    node.roles.nodes["node001"] = has
    node.done()
    before = {path: path.read_bytes() for path in node.root.rglob("*") if path.is_file()}
    time = node.clock.time
    agent = node.agent(dry_run=True)
    outcome = agent.cycle()
    agent.withdraw()
    assert node.done() == []
    assert {path: path.read_bytes() for path in node.root.rglob("*") if path.is_file()} == before
    assert node.clock.time == time, "it waits for no service"
    services = "node_exporter, cgroup_exporter, nvidia_gpu_exporter"
    assert outcome.changes == (
        ("node001 has slurmclient", f"would start {services}", f"would write {TARGETS}/node001.json")
        if has
        else ("node001 does not have slurmclient", f"would remove {TARGETS}/node001.json", f"would stop {services}")
    )


class Killed(BaseException):
    """kill -9."""


def killed_before(node: Node, agent: Agent, what: str) -> None:
    """A round that ends there."""

    def step(done: str) -> None:
        if done == what:
            raise Killed
        node.step(done)

    node.roles.step = node.services.step = node.targets.step = step
    with pytest.raises(Killed):
        agent.cycle()
    node.roles.step = node.services.step = node.targets.step = node.step


def test_killed_on_the_way_to_a_new_role_it_goes_on_with_that(node: Node) -> None:
    killed_before(node, node.agent(), "start node_exporter")
    node.agent().start_up()
    assert node.running == ALL
    assert node.targets.files == target(node)


@pytest.mark.parametrize("before", ["ask", "put node007.json", "remove node001.json"])
def test_killed_on_the_way_to_a_new_name_it_goes_on_with_that(node: Node, before: str) -> None:
    agent = node.agent()
    agent.cycle()
    node.host, node.roles.nodes = "node007", {"node007": True}
    killed_before(node, agent, before)
    agent = node.agent()
    assert agent.start_up().has is (None if before == "ask" else True)
    assert set(node.targets.files) == {"node001.json" if before == "ask" else "node007.json"}
    agent.cycle()
    assert node.targets.files == target(node, "node007")


def test_killed_and_renamed_twice_no_file_stays(node: Node) -> None:
    agent = node.agent()
    agent.cycle()
    node.host, node.roles.nodes = "node007", {"node007": True}
    killed_before(node, agent, "remove node001.json")
    assert set(node.targets.files) == {"node001.json", "node007.json"}
    node.host, node.roles.nodes = "node003", {"node003": True}
    node.agent().cycle()
    assert node.targets.files == target(node, "node003")


def test_a_file_that_comes_back_without_the_role_goes_again(node: Node) -> None:
    node.roles.nodes["node001"] = False
    agent = node.agent()
    agent.cycle()
    node.targets.files["node001.json"] = b"[]"
    agent.cycle()
    assert node.targets.files == {}


def test_dry_run_where_all_is_as_it_should_be(node: Node) -> None:
    node.agent().cycle()
    assert node.agent(dry_run=True).cycle().changes == ()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield


@pytest.mark.usefixtures("full")
def test_a_full_disk_does_not_stop_it(node: Node) -> None:
    agent = node.agent()
    for _ in range(3):
        node.clock.sleep(agent.cycle().wait)
    assert node.running == ALL
    assert node.targets.files == target(node)
    assert sum("no space left" in line for line in node.said()) == 1


def test_a_corrupt_state_is_said_once_and_then_all_is_as_if_new(node: Node) -> None:
    node.states.mkdir(parents=True)
    (node.states / "node001_state.json").write_text("{")
    agent = node.agent()
    agent.start_up()
    outcome = agent.cycle()
    assert outcome.problems == ()
    assert sum("cannot be used" in line for line in node.said()) == 1
    assert node.running == ALL


def test_the_textfile_is_written_and_its_absence_said_once(node: Node) -> None:
    agent = node.agent()
    agent.cycle()
    assert node.config.textfile is not None
    assert 'role_present{role="slurmclient"} 1' in node.config.textfile.read_text()
    node.config = node.config._replace(textfile=node.root / "none" / "x.prom")
    node.said()
    agent = node.agent()
    agent.cycle()
    agent.cycle()
    assert sum("x.prom" in line for line in node.said()) == 1


def test_warnings_of_the_configuration_are_said_once(node: Node) -> None:
    node.config = node.config._replace(warnings=("'rolle': is not a setting",))
    agent = node.agent()
    agent.start_up()
    assert agent.cycle().problems == ()
    assert sum("rolle" in line for line in node.said()) == 1


@pytest.mark.usefixtures("full")
def test_a_new_configuration_goes_on_with_what_is_known(node: Node) -> None:
    """Also where the disk has it older, or not at all."""
    node.services.broken = {"cgroup_exporter"}
    former = node.agent()
    former.cycle()
    node.roles.fault = NEVER
    node.config = node.config._replace(check_interval=30.0, retry_interval=900.0)
    node.done()
    agent = node.agent(former=former)
    assert (agent.start_up().has, node.running) == (True, ALL - {"cgroup_exporter"})
    assert "start cgroup_exporter" not in node.done(), "it was tried a moment ago"
    agent.cycle()
    assert node.targets.files == target(node)
    assert agent.metrics.polls == {"success": 1, "unknown": 1}
    node.config = node.config._replace(role="login")
    agent = node.agent(former=agent)
    agent.start_up()
    assert agent.cycle().has is None, "that was about another role"
    node.roles.fault, node.roles.nodes["node001"] = None, False
    while agent.cycle().unknown:
        pass
    assert (node.running, node.targets.files) == (set(), {})


def test_a_service_that_does_not_stop_is_no_stopped_one(node: Node) -> None:
    agent = node.agent()
    agent.cycle()
    node.said()
    node.roles.nodes["node001"], node.services.stuck = False, {"cgroup_exporter"}
    for _ in range(3):
        problems = agent.cycle().problems
    assert [problem.subject for problem in problems] == ["service cgroup_exporter"]
    assert sum("cgroup_exporter" in line for line in node.said()) == 1
    node.services.stuck = set()
    assert agent.cycle().problems == ()
    assert node.said() == ["stopped cgroup_exporter", "service cgroup_exporter: is in order again"]
    assert state(node)["started"] == []


@pytest.mark.parametrize("reloaded", [False, True])
@pytest.mark.parametrize("stuck", [False, True])
def test_an_exporter_that_is_not_configured_any_more_is_stopped(node: Node, reloaded: bool, stuck: bool) -> None:
    node.services.units["node_exporter"] = "active"
    agent = node.agent()
    agent.cycle()
    assert state(node)["started"] == ["cgroup_exporter", "nvidia_gpu_exporter"]
    node.config = node.config._replace(exporters=node.config.exporters[2:])
    node.services.stuck = {"cgroup_exporter"} if stuck else set()
    agent = node.agent(former=agent if reloaded else None)
    node.done(), node.said()
    for _ in range(3):
        assert agent.cycle().problems == ()
    assert node.done() == ["stop cgroup_exporter", "put node001.json"]
    assert node.running == {"node_exporter", "nvidia_gpu_exporter", *node.services.stuck}, "one was not started by us"
    assert sum("is not configured any more" in line for line in node.said()) == stuck
    node.services.stuck = set()
    node.agent().start_up()
    assert node.running == {"node_exporter", "nvidia_gpu_exporter"}
    assert state(node)["started"] == ["nvidia_gpu_exporter"]


def test_an_error_of_our_own_while_asking_is_like_no_answer(node: Node) -> None:
    agent = node.agent()
    agent.cycle()
    node.said()

    def step(what: str) -> None:
        raise OverflowError("int too large")

    node.roles.step = step
    node.targets.files.clear()
    for _ in range(4):
        outcome = agent.cycle()
    assert outcome.has is True
    assert node.targets.files == target(node)
    assert [line.partition("; ")[0] for line in node.said() if "BCM" in line] == [
        "BCM: cannot be asked: OverflowError: int too large"
    ]
