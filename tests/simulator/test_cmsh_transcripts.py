"""The transcripts of the manuals: same input, same output. One file a case in tests/assets/cmsh.

A case begins with ``# key: value`` lines (source, padding, profile, head, bare, switches). Lines after ``@setup`` are
run before, their output is not looked at. After ``@session`` every line that starts with ``%`` is typed into one
session, and the lines below it are the whole output expected; ``% `` lines may also expect none.
After ``@cmsh ARGS`` comes the output of one run of cmsh, after ``@terminal ARGS`` what one sees who types at a
terminal: prompts, what is typed behind them, output. ``@stdin LINE`` is a run with that on its standard input,
``@accepts ARGS`` one of which only is told that it has no error, ``@control JSON`` an order of the admin plane,
``@file PATH`` a file of the head node with the lines that follow.
A line ``…`` in an output stands for any lines; the times of events are not compared.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.simulator import pki
from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.simulator.layout import Layout

PROMPT = re.compile(r"^\[[^ {]+(?:\{[^}]*\}[^ ]*)?\]% (.*)$", re.M)
CASES = Path(__file__).parents[1] / "assets" / "cmsh"


def read(path: Path) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """The header of a case and its steps: kind, input, expected output."""
    header: dict[str, str] = {}
    steps: list[tuple[str, str, str]] = []
    part = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not part and line.startswith("# "):
            key, _, value = line[2:].partition(": ")
            header[key] = value
        elif line.startswith("@"):
            part, _, told = line[1:].partition(" ")
            if part in ("cmsh", "terminal", "stdin", "accepts", "control", "file"):
                steps.append((part, told, ""))
        elif part == "setup":
            steps.append((part, line, ""))
        elif part == "session" and line.startswith("% "):
            steps.append((part, line[2:], ""))
        elif part and steps:
            kind, typed, expected = steps[-1]
            steps[-1] = (kind, typed, f"{expected}{line}\n")
    return header, steps


def test_a_case_is_read_in_full(tmp_path: Path) -> None:
    case = tmp_path / "case.txt"
    case.write_text("# source: x\n@setup\na; b\n@session\n% list\nName\n----\n% get\n@cmsh -c 'x y'\nout\n")
    header, steps = read(case)
    assert header == {"source": "x"}
    assert steps == [
        ("setup", "a; b", ""),
        ("session", "list", "Name\n----\n"),
        ("session", "get", ""),
        ("cmsh", "-c 'x y'", "out\n"),
    ]


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[InProcess]:
    header, _ = read(request.param)
    switches = dict(pair.split("=") for pair in header.get("switches", "").split())
    layout = Layout(
        header.get("profile", "bcm10"),
        nodes=int(header.get("nodes", "4")),
        head=header.get("head", "bcm-head"),
        passive=header.get("passive", ""),
        bare="bare" in header,
    )
    cluster = InProcess(tmp_path, layout, switches)
    if "pki" in header:
        pki.prepare(tmp_path, layout.heads)
    yield cluster
    cluster.close()


TIME = re.compile(r"^\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4}(?= \[)", re.M)


def alike(got: str, expected: str) -> bool:
    """Whether an output is as told: times apart, and with any lines where ``…`` stands."""
    pattern = "".join("(?:.*\n)*?" if line == "…" else re.escape(line) + "\n" for line in expected.splitlines())
    return re.fullmatch(pattern, got) is not None


def did(world: InProcess, kind: str, typed: str, expected: str) -> str:
    """Do a step; what it printed."""
    if kind in ("cmsh", "accepts"):
        answer = world.cmsh(*shlex.split(typed))
        assert kind == "cmsh" or (answer.status, answer.err) == (0, ""), (typed, answer)
        return answer.out
    if kind == "stdin":
        return world.cmsh("-n", text=typed + "\n").out
    if kind == "terminal":
        return world.cmsh(*shlex.split(typed), typed=tuple(PROMPT.findall(expected))).out
    if kind == "control":
        world.control(**json.loads(typed))
        return ""
    if kind == "file":
        file = world.daemon.on_disk("/" + typed)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(expected, encoding="utf-8")
        return ""
    got = world.run(typed)
    world.settled()
    return got


@pytest.mark.parametrize(
    ("world", "path"), [(path, path) for path in sorted(CASES.glob("*.txt"))], indirect=["world"], ids=lambda p: p.stem
)
def test_same_input_same_output(world: InProcess, path: Path) -> None:
    header, steps = read(path)
    assert header["source"].startswith(("bcm-facts", "AM11"))
    assert any(kind != "setup" for kind, _, _ in steps)
    for kind, typed, expected in steps:
        got = TIME.sub("<time>", did(world, kind, typed, expected))
        if kind == "setup":
            assert not world.session.failed and not got.startswith(("Code ", "Field ")), (typed, got)
        elif kind not in ("accepts", "control", "file") and not alike(got, TIME.sub("<time>", expected)):
            assert got == expected, typed
