"""Transcripts of a real head node: version, answers and words, and files that are none."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.simulator import Simulator, SimulatorError, replay
from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.simulator.switches import CHOICES

OPTIONS = ["--norc", "--color=no", "--disable-events"]
SAID: dict[str, Any] = {
    "way": "cmsh",
    "options": OPTIONS,
    "script": "device; use nosuch",
    "stdout": "as the real one says\n",
    "stderr": "and complains\n",
    "status": 3,
    "verbatim": True,
}


def write(directory: Path, **changes: Any) -> Path:
    told = {"format_version": 1, "version": "11.0", "answers": {}, "exchanges": [SAID], **changes}
    file = directory / "transcript.json"
    file.write_text(json.dumps({name: value for name, value in told.items() if value is not None}), encoding="utf-8")
    return file


def answers(**given: str) -> dict[str, dict[str, str]]:
    return {name.replace("_", "-"): {"answer": answer, "evidence": "seen"} for name, answer in given.items()}


@pytest.mark.parametrize(
    ("version", "profile"), [("10.0", "bcm10"), ("10.25.03", "bcm10"), ("11", "bcm11"), ("11.0", "bcm11")]
)
def test_the_version_chooses_the_profile(tmp_path: Path, version: str, profile: str) -> None:
    assert replay.load(write(tmp_path, version=version)).profile == profile


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("assign generic::NAME", "yes"),
        ("assign generic NAME", "typed"),
        ("assign GenericRole NAME", "class"),
        ("none", "no"),
    ],
)
def test_every_way_to_assign_a_generic_role_is_a_switch(tmp_path: Path, answer: str, value: str) -> None:
    told = replay.load(write(tmp_path, answers=answers(assign_generic_role=answer)))
    assert (told.switches, told.unknown) == ({"generic_assign": value}, ())


@pytest.mark.parametrize("name", [name for name in CHOICES if name != "generic_assign"])
def test_any_other_answer_turns_the_switch_of_its_name(tmp_path: Path, name: str) -> None:
    for value in CHOICES[name]:
        assert replay.load(write(tmp_path, answers=answers(**{name: value}))).switches == {name: value}


def test_answers_that_nothing_follows_leave_the_default(tmp_path: Path) -> None:
    told = replay.load(write(tmp_path, answers=answers(rest_v2="yes", exit_status="3", assign_generic_role="typed")))
    assert told.switches == {}
    assert told.unknown == ("rest-v2: yes", "exit-status: 3", "assign-generic-role: typed")


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        ([*OPTIONS, "-c", SAID["script"]], True),
        ([*reversed(OPTIONS), "-c", SAID["script"]], True),
        (["-c", SAID["script"], *OPTIONS], True),
        ([*OPTIONS, "-c", "device; use other"], False),
        ([*OPTIONS[1:], "-c", SAID["script"]], False),
        ([*OPTIONS, "-r", "-c", SAID["script"]], False),
        ([*OPTIONS, "-c"], False),
        (OPTIONS, False),
    ],
)
def test_an_exchange_is_found_by_script_and_options(tmp_path: Path, argv: list[str], found: bool) -> None:
    assert (replay.load(write(tmp_path)).find(argv) is not None) == found


@pytest.mark.parametrize("change", [{"verbatim": False}, {"verbatim": None}, {"verbatim": "yes"}, {"way": "rest"}])
def test_only_what_is_marked_is_given_back(tmp_path: Path, change: dict[str, Any]) -> None:
    assert replay.load(write(tmp_path, exchanges=[{**SAID, **change}])).exchanges == ()


def test_cmsh_says_what_the_real_one_said(tmp_path: Path) -> None:
    made = InProcess(tmp_path / "head")
    made.daemon.transcript = replay.load(write(tmp_path))
    answer = made.cmsh(*OPTIONS, "-c", "device; use nosuch")
    assert (answer.out, answer.err, answer.status) == (SAID["stdout"], SAID["stderr"], 3)
    assert made.cmsh(*OPTIONS, "-c", "device get dgx-01 category").out == "dgx-h100\n"
    made.close()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no format": ({"format_version": None}, "format_version None"),
    "another format": ({"format_version": 2}, "format_version 2"),
    "no version": ({"version": None}, "version ''"),
    "a version before or after": ({"version": "9.2"}, "version '9.2'"),
    "a version that is a number": ({"version": 11}, "version is int"),
    "answers in a list": ({"answers": []}, "answers is list"),
    "an answer without text": ({"answers": {"exit-status": {"answer": 0}}}, "answers.exit-status"),
    "an answer that is text only": ({"answers": {"exit-status": "zero"}}, "answers.exit-status"),
    "exchanges in an object": ({"exchanges": {}}, "exchanges is dict"),
    "an exchange that is text": ({"exchanges": [SAID, "x"]}, r"exchanges\[2\] is str"),
    "options in a text": ({"exchanges": [{**SAID, "options": "-n"}]}, r"exchanges\[1\]: options"),
    "output that is a list": ({"exchanges": [{**SAID, "stdout": []}]}, r"exchanges\[1\]"),
    "a status that is text": ({"exchanges": [{**SAID, "status": "0"}]}, r"exchanges\[1\]: status"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_is_no_transcript_is_told(tmp_path: Path, case: str) -> None:
    change, told = BAD[case]
    file = write(tmp_path, **change)
    with pytest.raises(SimulatorError, match=f"{file} .*{told}"):
        Simulator.start(tmp_path / "head", profile=str(file))
    assert not (tmp_path / "head").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", "\udcff"])
def test_so_is_one_that_is_not_json_or_no_object(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(SimulatorError, match=r"x\.json"):
        Simulator.start(tmp_path / "head", profile=str(file))


def test_a_profile_that_is_neither_a_version_nor_a_file(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match="bcm10, bcm11, or a probe's transcript; not bcm12"):
        Simulator.start(tmp_path / "head", profile="bcm12")


def test_a_simulator_starts_from_a_transcript_and_goes_on(tmp_path: Path) -> None:
    told = answers(exit_status="honest", empty_get="nothing", who_knows="nobody")
    file = write(tmp_path, answers=told)
    settings = {"profile": str(file), "node_kind": "paper", "switches": {"empty_get": "line"}}
    started = Simulator.start(tmp_path / "head", **settings)  # type: ignore[arg-type]
    try:
        file.unlink()
        for _ in range(2):
            status = started.status()
            assert status["profile"] == "bcm11" and status["unknown_answers"] == ["who-knows: nobody"]
            assert (status["switches"]["exit_status"], status["switches"]["empty_get"]) == ("honest", "line")
            command = [str(started.cmsh), *OPTIONS, "-c", "device; use nosuch"]
            answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            assert (answer.stdout, answer.stderr, answer.returncode) == (SAID["stdout"], SAID["stderr"], 3)
            started.stop()
            started = Simulator.start(tmp_path / "head")
    finally:
        started.stop()
