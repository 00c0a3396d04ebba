"""`bcm-jobstats simulator`: its options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bcm_jobstats.simulator import Simulator
from bcm_jobstats.simulator.lab import bases
from tests.harness import run
from tests.lab import labs
from tests.lab.traces import traces


def test_two_heads_switches_and_a_transcript(tmp_path: Path) -> None:
    told = {"format_version": 1, "version": "11.0", "answers": {"no-such": {"answer": "x"}}}
    (tmp_path / "probe.json").write_text(json.dumps(told), encoding="utf-8")
    words = ("--profile", str(tmp_path / "probe.json"), "--heads", "2", "--node-kind", "paper")
    directory = str(tmp_path / "head")
    started = run(tmp_path, "simulator", "start", directory, *words, "--switch", "exit_status=honest")
    try:
        assert started.status == 0 and "heads/bcm-head-2/bin/cmsh" in started.out
        status = run(tmp_path, "simulator", "status", directory, "--json")
        shown = json.loads(status.out)
        assert shown["heads"] == {"bcm-head-1": "ACTIVE", "bcm-head-2": "PASSIVE"}
        assert (shown["profile"], shown["unknown_answers"]) == ("bcm11", ["no-such: x"])
        assert shown["switches"]["exit_status"] == "honest"
    finally:
        Simulator.attach(directory).stop()


@pytest.mark.parametrize(
    "words",
    [
        ("--switch", "exit_status"),
        ("--switch", "exit_status=nosuch"),
        ("--switch", "nosuch=1"),
        ("--profile", "nosuch"),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, words: tuple[str, ...]) -> None:
    outcome = run(tmp_path, "simulator", "start", str(tmp_path / "head"), "--node-kind", "paper", *words)
    assert outcome.status == 1 and words[1].partition("=")[0] in outcome.err and "Traceback" not in outcome.err


def test_help_explains_heads_transcripts_and_switches(tmp_path: Path) -> None:
    text = run(tmp_path, "simulator", "start", "--help").out
    assert all(word in text for word in ("--heads", "cmha makeactive", "bcm-jobstats probe", "shared_storage"))


@pytest.mark.lab
@pytest.mark.skipif(labs.missing() is not None, reason=str(labs.missing()))
def test_containers_start_and_stop(tmp_path: Path) -> None:
    """By a link: mounts are known by the real path."""
    (tmp_path / "link").symlink_to(tmp_path)
    place = str(tmp_path / "link" / "head")
    words = ("--node-kind", "container", "--nodes", "1", "--logins", "0", "--release", "trixie")
    try:
        assert run(tmp_path, "simulator", "start", place, *words).status == 0
        status = json.loads(run(tmp_path, "simulator", "status", place, "--json").out)
        assert (status["node_kind"], status["release"], status["down"]) == ("container", "trixie", [])
    finally:
        assert run(tmp_path, "simulator", "stop", place).status == 0
    assert traces(tmp_path / "head") == [f"file {tmp_path / 'head'}"]


def test_containers_on_a_machine_without_the_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "missing_programs", lambda: ["systemd-nspawn (package systemd-container)"])
    outcome = run(tmp_path, "simulator", "start", str(tmp_path / "head"), "--node-kind", "container")
    assert outcome.status == 1 and "systemd-nspawn (package systemd-container)" in outcome.err
    assert not (tmp_path / "head").exists()
