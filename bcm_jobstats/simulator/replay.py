"""A real head node, as far as a transcript of `bcm-jobstats probe` tells: its version, its answers, its words.

The transcript is a JSON file. `version` chooses the profile, `answers` turn switches, and an exchange marked
`verbatim` is given back word for word when cmsh is run with the same options and the same script.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from bcm_jobstats.simulator.schema import BCM10, BCM11
from bcm_jobstats.simulator.switches import CHOICES

FORMAT_VERSION = 1
VERSIONS = {"10": BCM10, "11": BCM11}
"""Major versions; BCM 10 also calls itself by date, such as 10.25.03 (bcm-facts §11.2)."""
SPECIAL = {
    "assign-generic-role": (
        "generic_assign",
        {
            "assign generic::NAME": "yes",
            "assign generic NAME": "typed",
            "assign GenericRole NAME": "class",
            "none": "no",
        },
    ),
}
"""Answers whose switch has another name or other words. All others: `get-nodes` turns the switch `get_nodes`."""


class TranscriptError(Exception):
    """A file that is no transcript of a probe; the text says what is wrong with it."""


@dataclass(frozen=True)
class Exchange:
    """One run of cmsh on the real head: how it was called, and all that came of it."""

    options: tuple[str, ...]
    script: str
    stdout: str
    stderr: str
    status: int


@dataclass(frozen=True)
class Transcript:
    """What a simulator takes from one probe."""

    profile: str
    switches: Mapping[str, str]
    unknown: tuple[str, ...]
    """`NAME: ANSWER` of every answer that no switch has; the default stays."""
    exchanges: tuple[Exchange, ...]

    def find(self, argv: Sequence[str]) -> Optional[Exchange]:
        """What a run of cmsh with these arguments gave; the order of the options does not matter."""
        if "-c" not in argv[:-1]:
            return None
        at = argv.index("-c")
        options, script = sorted([*argv[:at], *argv[at + 2 :]]), argv[at + 1]
        return next((one for one in self.exchanges if one.script == script and sorted(one.options) == options), None)


NOTHING = Transcript(BCM10, {}, (), ())


def load(file: Path) -> Transcript:
    """Read a transcript; raises TranscriptError when it is not one, OSError when it cannot be read."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise TranscriptError(f"is not JSON: {error}") from error
    if not isinstance(told, dict):
        raise TranscriptError("holds no object with format_version, version, answers and exchanges")
    if told.get("format_version") != FORMAT_VERSION:
        raise TranscriptError(f"has format_version {told.get('format_version')!r}, not {FORMAT_VERSION}")
    switches, unknown = _switches(_of(told, "answers", dict))
    exchanges = [_exchange(number, one) for number, one in enumerate(_of(told, "exchanges", list), start=1)]
    return Transcript(_profile(told), switches, unknown, tuple(one for one in exchanges if one is not None))


def _of(told: Mapping[str, Any], name: str, kind: type) -> Any:
    value = told.get(name, kind())
    if not isinstance(value, kind):
        raise TranscriptError(f"{name} is {type(value).__name__}, not {kind.__name__}")
    return value


def _profile(told: Mapping[str, Any]) -> str:
    version = _of(told, "version", str)
    profile = VERSIONS.get(version.partition(".")[0])
    if profile is None:
        raise TranscriptError(f"is of version {version!r}; there are {' and '.join(VERSIONS)}")
    return profile


def _switches(answers: Mapping[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    switches: dict[str, str] = {}
    unknown: list[str] = []
    for name, told in answers.items():
        answer = told.get("answer") if isinstance(told, dict) else None
        if not isinstance(answer, str):
            raise TranscriptError(f"answers.{name} has no text as its answer")
        switch, words = SPECIAL.get(name, (name.replace("-", "_"), {}))
        value = words.get(answer, "") if words else answer
        if value in CHOICES.get(switch, ()):
            switches[switch] = value
        else:
            unknown.append(f"{name}: {answer}")
    return switches, tuple(unknown)


def _exchange(number: int, told: Any) -> Optional[Exchange]:
    """An exchange to give back word for word, None when it is about what changes or was not with cmsh."""
    where = f"exchanges[{number}]"
    if not isinstance(told, dict):
        raise TranscriptError(f"{where} is {type(told).__name__}, not dict")
    if told.get("verbatim") is not True or told.get("way") != "cmsh":
        return None
    options, status = told.get("options", []), told.get("status", 0)
    texts = [told.get(name, "") for name in ("script", "stdout", "stderr")]
    if not (isinstance(options, list) and all(isinstance(text, str) for text in (*options, *texts))):
        raise TranscriptError(f"{where}: options is a list of texts; script, stdout and stderr are texts")
    if not isinstance(status, int) or isinstance(status, bool):
        raise TranscriptError(f"{where}: status is a number")
    return Exchange(tuple(options), texts[0], texts[1], texts[2], status)
