"""The process that is started as cmsh reads and writes JSON without the package."""

from __future__ import annotations

import json

import pytest

from bcm_jobstats.simulator import client

TOLD = {
    "argv": ["-c", 'set notes "é\u2603\U0001f600"', "", "\udce9", "\\n\n\t\x00\x1b\x7f</"],
    "cwd": "/tmp/a b",
    "tty": True,
    "inside": False,
    "text": None,
}


def test_what_it_writes_is_json() -> None:
    assert json.loads(client.written(TOLD)) == TOLD


@pytest.mark.parametrize("indent", [None, 1])
def test_what_it_reads_is_json(indent: int | None) -> None:
    told = {**TOLD, "exit": 3}
    assert client.read(json.dumps(told, indent=indent) + "\n") == told


@pytest.mark.parametrize("text", ["", "\n", "{", '{"out": "x', '{"out"}', "x"])
def test_what_is_cut_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        client.read(text)
