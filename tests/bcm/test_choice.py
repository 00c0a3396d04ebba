"""Which way to BCM is taken, and what it says about it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.bcm.choice import Access, choose
from bcm_jobstats.bcm.errors import Unreachable
from bcm_jobstats.simulator import Simulator
from tests.harness import Outcome, cluster, run, snapshot

SITE = "etc/bcm-jobstats/site.yaml"


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    with cluster(tmp_path / "head") as started:
        (started.directory / SITE).parent.mkdir(parents=True)
        (started.directory / SITE).write_text(f"bcm: {{address: '{started.https}'}}\n")
        yield started


def without_cmsh(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a host that is no head node: no cmsh, but a certificate."""
    (simulator.directory / "cm/local/apps/cmd/bin/cmsh").unlink()
    monkeypatch.setenv("PATH", "/nowhere")


def notes(outcome: Outcome) -> list[str]:
    return list(json.loads(outcome.out)["notes"])


def access(root: Path) -> Access:
    return Access(root, 5.0, "localhost:1", root / "cacert.pem")


def test_auto_takes_cmsh_where_it_is(simulator: Simulator) -> None:
    choice = choose("auto", access(simulator.directory))
    assert choice.bcm.name == "cmsh" and choice.bcm.writes
    assert choice.reason.startswith("cmsh: found at ")


def test_auto_reads_over_json_where_there_is_no_cmsh(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """bcm-facts §1.1, §8.1: root's own certificate opens both."""
    before = json.loads(run(simulator.directory, "plan", "--json").out)
    without_cmsh(simulator, monkeypatch)
    plan = run(simulator.directory, "plan", "--json")
    assert json.loads(plan.out)["changes"] == before["changes"]
    assert [note for note in notes(plan) if "only be read" in note and "cmsh is neither" in note]


@pytest.mark.parametrize("words", [("apply", "--yes"), ("destroy", "--yes"), ("apply", "--yes", "--bcm", "rest")])
def test_what_only_reads_changes_nothing_by_halves(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    without_cmsh(simulator, monkeypatch)
    before = snapshot(simulator.directory)
    outcome = run(simulator.directory, *words)
    assert outcome.status == 69
    assert "--bcm rest" in outcome.err and "head node" in outcome.err
    assert snapshot(simulator.directory) == before


def test_the_plan_says_when_pythoncm_has_to_help(simulator: Simulator) -> None:
    assert not [note for note in notes(run(simulator.directory, "plan", "--json")) if "pythoncm" in note]
    simulator.control({"op": "switch", "name": "generic_assign", "value": "no"})
    assert [note for note in notes(run(simulator.directory, "plan", "--json")) if "pythoncm makes it" in note]


@pytest.mark.parametrize("way", ["auto", "cmsh", "pythoncm"])
def test_without_any_way_the_missing_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unreachable) as error:
        choose(way, access(tmp_path))
    assert "cmsh" in str(error.value)


OTHERS = [version for version in ("3.9", "3.12", "none") if version != f"3.{sys.version_info.minor}"]


@pytest.mark.parametrize("version", OTHERS)
def test_pythoncm_for_another_python_is_told_with_the_remedy(tmp_path: Path, version: str) -> None:
    with cluster(tmp_path / "head", switches={"pythoncm": version}) as simulator, pytest.raises(Unreachable) as error:
        choose("pythoncm", access(simulator.directory))
    assert ("not installed" if version == "none" else f"python{version}") in str(error.value)
