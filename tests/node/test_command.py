"""Commands that the agent runs: what they say, and that none outlives its time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from bcm_jobstats.node import command
from tests.harness import until

ENVIRONMENT = {"PATH": "/nowhere:/usr/bin:/bin", "WORD": "x"}


def run(script: str, seconds: float = 60.0) -> command.Done:
    return command.run(["sh", "-c", script], ENVIRONMENT, seconds)


@pytest.mark.parametrize(
    ("script", "done"),
    [
        ("echo out; echo err >&2; exit 3", (3, "out\n", "err\n")),
        ("kill -9 $$", (-9, "", "")),
        ("cat", (0, "", "")),
        ('echo "$WORD $HOME"', (0, "x \n", "")),
        (r"printf 'a\377b'", (0, "a\N{REPLACEMENT CHARACTER}b", "")),
        ("exec >&- 2>&-; sleep 0.1; exit 3", (3, "", "")),
        ("yes | head -c 300000 >&2; yes | head -c 300000", (0, "y\n" * 150_000, "y\n" * 150_000)),
    ],
)
def test_what_it_says_and_how_it_ends(script: str, done: tuple[int, str, str]) -> None:
    found = run(script)
    if done is not None:
        assert found == done
    else:
        assert not int(found.output.split()[1], 16) >> (signal.SIGPIPE - 1) & 1, (
            "Python's own ignores are not passed on"
        )


def test_there_is_no_such_program() -> None:
    with pytest.raises(FileNotFoundError):
        command.run(["no-such-program"], ENVIRONMENT, 60)


@pytest.mark.parametrize("streams", ["", ">&- 2>&-"])
def test_what_takes_too_long_is_ended(tmp_path: Path, streams: str) -> None:
    with pytest.raises(TimeoutError):
        run(f"echo $$ >{tmp_path}/process; exec sleep 1000 {streams}", 0.3)
    process = int((tmp_path / "process").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


class Interrupted(BaseException):
    pass


def test_what_is_interrupted_is_ended_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))

    def interrupted(*_: object) -> None:
        until((tmp_path / "process").exists)
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(command, "_listen", interrupted)
        with pytest.raises(Interrupted):
            run(f"echo $$ >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/process; exec sleep 1000")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "process").read_text()), 0)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
