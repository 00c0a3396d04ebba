"""What a simulator starts from, kept beside its state: ``cmd/cluster.json``, and the transcript of a real head node."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bcm_jobstats.simulator import replay
from bcm_jobstats.simulator.schema import PROFILES
from bcm_jobstats.simulator.state import write_atomically
from bcm_jobstats.simulator.switches import Switches

TRANSCRIPT = "cmd/transcript.json"
_FILE = "cmd/cluster.json"


def exist(directory: Path) -> bool:
    """Whether the directory holds a cluster."""
    return (directory / _FILE).exists()


def read(directory: Path) -> dict[str, Any]:
    """The settings of the cluster in a directory."""
    told: dict[str, Any] = json.loads((directory / _FILE).read_text(encoding="utf-8"))
    return told


def prepare(directory: Path, given: Mapping[str, Any], switches: Mapping[str, str] | None) -> None:
    """Write the settings of a new cluster; one that is there keeps its own, and its switches unless they are given.

    The profile may be the file of a transcript, which then chooses profile and switches; `switches` go before it.
    Raises TranscriptError when it is neither, and ValueError for a switch that does not exist.
    """
    settings, file = dict(given), str(given["profile"])
    transcript = None if file in PROFILES else _transcript(Path(file))
    if exist(directory):
        settings, transcript = read(directory), None
    if transcript is not None:
        settings.update({"profile": transcript.profile, "unknown_answers": list(transcript.unknown)})
        switches = {**transcript.switches, **(switches or {})}
    if switches is not None or "switches" not in settings:
        settings["switches"] = Switches(switches).told()
    (directory / "cmd").mkdir(parents=True, exist_ok=True)
    if transcript is not None:
        shutil.copyfile(file, directory / TRANSCRIPT)
    write_atomically(directory / _FILE, json.dumps(settings, indent=1))


def _transcript(file: Path) -> replay.Transcript:
    if not file.is_file():
        raise replay.TranscriptError(f"profiles are {', '.join(PROFILES)}, or a probe's transcript; not {file}")
    try:
        return replay.load(file)
    except (replay.TranscriptError, OSError) as error:
        raise replay.TranscriptError(f"{file} {error}") from error
