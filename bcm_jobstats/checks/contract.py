"""Whether BCM still behaves as it did when it was last probed, and what follows where it does not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bcm_jobstats.bcm.capabilities import Capability
from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.bcm.cmsh.adapter import CmshBcm
from bcm_jobstats.bcm.probe import by_trying
from bcm_jobstats.bcm.probe.answer import UNKNOWN, Answer
from bcm_jobstats.bcm.probe.prober import FORMAT, Prober
from bcm_jobstats.bcm.probe.questions import ask
from bcm_jobstats.deployment import STATE, Deployment
from bcm_jobstats.errors import JobstatsError

SAVED = f"{STATE}/probe.json"


class BadTranscript(JobstatsError):
    """A file that `probe` did not write."""


@dataclass(frozen=True)
class Finding:
    """One behaviour: what it was when it was probed, what it is now, and what the product does about it."""

    name: str
    before: str
    now: str
    evidence: str
    consequence: str

    @property
    def changed(self) -> bool:
        """Whether both are known and differ."""
        return UNKNOWN not in {self.before, self.now} and self.before != self.now


def prober(where: Deployment) -> Prober:
    """What asks the head node; raises Unreachable."""
    cmsh = process.find(where.root)
    cluster = CmshBcm(cmsh, where.access.timeout, where.access.options).read()
    return Prober(where.access, cmsh, cluster)


def asked(prober: Prober, *, trying: bool) -> Iterator[tuple[Capability, Answer]]:
    """Every doubt with its answer; with `trying` also those that need a change (see by_trying)."""
    yield from ask(prober)
    if trying:
        yield from by_trying.ask(prober)


def save(file: Path, prober: Prober, told: Mapping[Capability, Answer]) -> None:
    """Write the transcript, readable by its owner only; names and secrets are left out."""
    answers = {capability.name: vars(answer) for capability, answer in told.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o600)  # a file that was there keeps its mode
        json.dump(prober.transcript(answers), stream, indent=1)


def saved(file: Path) -> Mapping[str, str]:
    """name -> answer of a transcript; raises BadTranscript."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["format_version"] != FORMAT:
            raise BadTranscript(str(file), f"has format {document['format_version']}", "Make a new one: probe")
        return {name: str(told["answer"]) for name, told in document["answers"].items()}
    except FileNotFoundError as error:
        raise BadTranscript(str(file), "is not there", "Make one with: bcm-jobstats probe") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadTranscript(str(file), "cannot be read", "Make a new one with: bcm-jobstats probe") from error


def compare(before: Mapping[str, str], prober: Prober) -> Iterator[Finding]:
    """Ask again and compare."""
    for capability, answer in ask(prober):
        then = before.get(capability.name, UNKNOWN)
        yield Finding(capability.name, then, answer.answer, answer.evidence, capability.fallback)
