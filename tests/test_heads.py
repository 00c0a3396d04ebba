"""Two head nodes: who may change the cluster, what both get, and a failover at any moment (bcm-facts §10)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.bcm import heads
from bcm_jobstats.errors import ExitStatus
from bcm_jobstats.simulator import Simulator
from tests.harness import BINARIES, Outcome, Snapshot, cluster, run, snapshot

SITE = "etc/bcm-jobstats/site.yaml"
COMMANDS = "root/.cm/cmsh"
WRITING = (["apply", "--yes"], ["destroy", "--yes"], ["rollback", "--yes"], ["probe", "--try"])


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Simulator]:
    """Both heads have the site file, as an administrator installs it: nothing copies a head's own files."""
    with cluster(tmp_path / "head", heads=2) as simulator:
        for root in simulator.heads().values():
            (root / SITE).parent.mkdir(parents=True, exist_ok=True)
            (root / SITE).write_text("exporters: {}\n")
            for name in BINARIES:
                for image in ("dgx-image", "login-image"):
                    file = root / "cm/images" / image / name
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.touch()
        yield simulator


def active(simulator: Simulator) -> Path:
    return simulator.heads()[simulator.active]


def passive(simulator: Simulator) -> Path:
    return next(root for name, root in simulator.heads().items() if name != simulator.active)


def done(outcome: Outcome) -> Outcome:
    assert outcome.status == 0, outcome.err
    return outcome


def both(simulator: Simulator) -> Snapshot:
    return snapshot(simulator.directory)


def commands(root: Path) -> list[str]:
    return sorted(path.name for path in (root / COMMANDS).glob("*"))


@pytest.mark.parametrize("words", WRITING, ids=" ".join)
def test_the_passive_head_changes_nothing(pair: Simulator, words: list[str]) -> None:
    """bcm-facts §10."""
    before = both(pair)
    outcome = run(passive(pair), *words)
    assert outcome.status == ExitStatus.BUSY
    assert "not the active one" in outcome.err and pair.active in outcome.err
    assert both(pair) == before


def test_the_passive_head_still_tells(pair: Simulator) -> None:
    plan = json.loads(done(run(passive(pair), "plan", "--json")).out)
    assert plan["changes"]
    assert [note for note in plan["notes"] if "passive" in note]


def test_both_heads_get_the_commands_and_lose_them_again(pair: Simulator) -> None:
    """bcm-facts §10: nothing copies a head's own files."""
    before = both(pair)
    done(run(active(pair), "apply", "--yes", "-q"))
    assert commands(active(pair)) == commands(passive(pair)) != []
    done(run(active(pair), "plan", "--detailed-exitcode"))
    done(run(active(pair), "destroy", "--yes", "-q"))
    assert both(pair) == before


def test_a_command_file_that_is_lost_on_the_other_head_is_drift(pair: Simulator) -> None:
    done(run(active(pair), "apply", "--yes", "-q"))
    (passive(pair) / COMMANDS / "jobstats-plan.cmsh").unlink()
    outcome = run(active(pair), "drift", "--json")
    assert outcome.status == 2
    name = passive(pair).name
    assert [change["address"] for change in json.loads(outcome.out)["changes"]] == [
        f"command.{name}/jobstats-plan.cmsh"
    ]
    done(run(active(pair), "apply", "--yes", "-q"))
    assert commands(active(pair)) == commands(passive(pair))


def test_an_administrators_file_on_the_other_head_is_a_conflict(pair: Simulator) -> None:
    theirs = passive(pair) / COMMANDS / "jobstats-plan.cmsh"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("device list\n")
    plan = json.loads(run(active(pair), "plan", "--json").out)
    assert [conflict["address"] for conflict in plan["conflicts"]] == [
        f"command.{passive(pair).name}/jobstats-plan.cmsh"
    ]
    before = both(pair)
    done(run(active(pair), "apply", "--yes", "-q", "--adopt"))
    done(run(active(pair), "destroy", "--yes", "-q"))
    assert both(pair) == before


def test_a_head_that_is_down_is_left_out_and_told(pair: Simulator) -> None:
    before = both(pair)
    name = passive(pair).name
    pair.control({"op": "head", "name": name, "state": "down"})
    plan = json.loads(done(run(active(pair), "plan", "--json")).out)
    assert [note for note in plan["notes"] if name in note]
    done(run(active(pair), "apply", "--yes", "-q"))
    assert commands(passive(pair)) == []
    pair.control({"op": "head", "name": name, "state": "up"})
    assert run(active(pair), "drift").status == 2
    done(run(active(pair), "apply", "--yes", "-q"))
    assert commands(passive(pair)) == commands(active(pair)) != []
    done(run(active(pair), "destroy", "--yes", "-q"))
    assert both(pair) == before


def test_a_certificate_for_reading_runs_no_commands_on_the_other_head(pair: Simulator) -> None:
    """AM11 Table J: EXEC_COMMAND_TOKEN would be root on every node."""
    done(run(active(pair), "apply", "--yes", "-q"))
    told = done(run(active(pair), "certificate", "--for", "read", "--json", "-q"))
    made = json.loads(told.out)
    assert not [token for token in made["tokens"] if not token.startswith("GET_")]
    names = f"certificate: {made['certificate']}, key: {made['key']}"
    (active(pair) / SITE).write_text(f"bcm: {{{names}}}\n")
    plan = json.loads(done(run(active(pair), "drift", "--json")).out)
    assert plan["changes"] == []
    assert [note for note in plan["notes"] if passive(pair).name in note]


def test_rollback_after_a_failover_says_where_the_journal_is(pair: Simulator) -> None:
    done(run(active(pair), "apply", "--yes", "-q"))
    pair.control({"op": "failover"})
    outcome = run(active(pair), "rollback", "--yes")
    assert outcome.status == 1 and "the other one" in outcome.err


OWN_OVERLAY = "roles: {jobstats: {attach: {categories: [dgx-h100]}}}\n"
MOMENTS = {
    "the role in their overlay": ("exporters: {}\n", 1),
    "our overlay": (OWN_OVERLAY, 1),
    "the role in our overlay": (OWN_OVERLAY, 2),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("site", "commit"), MOMENTS.values(), ids=MOMENTS)
def test_a_failover_in_the_middle_of_an_apply(pair: Simulator, site: str, commit: int, when: str) -> None:
    """The run on the head that was active stops; the same command on the other head goes on."""
    for root in pair.heads().values():
        (root / SITE).write_text(site)
    before = both(pair)
    first = active(pair)
    pair.control({"op": "fault", "kind": "failover_at_commit", "nth": commit, "when": when})
    outcome = run(first, "apply", "--yes", "-q")
    assert outcome.status == 75, outcome.err
    assert first == passive(pair), "the failover did not come"
    assert run(first, "apply", "--yes", "-q").status == 75
    done(run(active(pair), "apply", "--yes", "-q"))
    done(run(active(pair), "plan", "--detailed-exitcode"))
    assert commands(active(pair)) == commands(passive(pair)) != []
    done(run(active(pair), "destroy", "--yes", "-q"))
    assert both(pair) == before


def test_a_failover_between_two_runs(pair: Simulator) -> None:
    before = both(pair)
    done(run(active(pair), "apply", "--yes", "-q"))
    pair.control({"op": "failover"})
    outcome = run(active(pair), "plan", "--json")
    assert json.loads(outcome.out)["changes"] == [], "both heads had everything"
    done(run(active(pair), "destroy", "--yes", "-q"))
    assert both(pair) == before


def test_without_cmdaemons_file_cmha_is_asked(pair: Simulator) -> None:
    """bcm-facts §10."""
    for root in pair.heads().values():
        shutil.move(root / heads.STATE, root / "state-was-here")
    before = both(pair)
    for words in (["apply", "--yes", "-q"], ["targets", "sync"], ["probe", "--try"], ["certificate"]):
        outcome = run(passive(pair), *words)
        assert outcome.status == 75 and pair.active in outcome.err, words
    assert both(pair) == before
    done(run(active(pair), "apply", "--yes", "-q"))


TEXTS = {
    "running in active master mode": ("ACTIVE", "a"),
    "running in passive mode": ("PASSIVE", "a"),
}


@pytest.mark.parametrize("line", TEXTS)
def test_cmha_status_is_read(tmp_path: Path, line: str) -> None:
    script = tmp_path / "usr/sbin/cmha"
    script.parent.mkdir(parents=True)
    script.write_text(f"#!/bin/sh\necho 'Node Status: {line}'\necho 'Failover status:'\necho 'a* -> b'\n")
    script.chmod(0o755)
    assert heads.status(tmp_path) == TEXTS[line]


@pytest.mark.parametrize("text", ["", "nonsense", "Node Status:\n", "-> \n"])
def test_what_cmha_does_not_tell_is_unknown(tmp_path: Path, text: str) -> None:
    script = tmp_path / "usr/sbin/cmha"
    script.parent.mkdir(parents=True)
    script.write_text(f"#!/bin/sh\nprintf '%s' '{text}'\n")
    script.chmod(0o755)
    assert heads.status(tmp_path) == (heads.UNKNOWN, None)
    assert heads.state(tmp_path) == heads.UNKNOWN


def test_the_other_head_finds_what_its_journal_does_not_know(pair: Simulator) -> None:
    """Services of single nodes: only looking at every node tells of them (bcm-facts §3.3)."""
    nodes = "roles: {jobstats: {attach: {nodes: ['dgx-[01-02]']}}}\n"
    services = "enable: {mode: services}\n" + nodes
    for root in pair.heads().values():
        (root / SITE).write_text(services)
    before = both(pair)
    done(run(active(pair), "apply", "--yes", "-q"))
    pair.control({"op": "failover"})
    (active(pair) / SITE).write_text("enable: {mode: generic-role}\n" + nodes)
    done(run(active(pair), "apply", "--yes", "-q"))
    assert not any(device.get("children", {}).get("services") for device in pair.state()["device"].values())
    done(run(active(pair), "destroy", "--yes", "-q"))
    (active(pair) / SITE).write_text(services)
    assert both(pair) == before
