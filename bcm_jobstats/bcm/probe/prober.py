"""Asks a head node read-only questions and writes down what was asked and answered, without secrets and names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from bcm_jobstats.bcm.choice import Access
from bcm_jobstats.bcm.cmsh import answers, process
from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.bcm.probe.redaction import Redaction

FORMAT = 1


@dataclass(frozen=True)
class Exchange:
    """One question to one program. `verbatim`: the answer does not depend on what this cluster's objects are, so that
    a simulator can give it as it stands."""

    way: str
    options: tuple[str, ...]
    script: str
    stdout: str
    stderr: str
    status: int
    verbatim: bool

    @property
    def text(self) -> str:
        """Both streams, events left out."""
        return answers.without_events(self.stdout + self.stderr)


class Prober:
    """The ways to ask, and the transcript. Everything here only reads; what is tried out is never committed."""

    def __init__(self, access: Access, cmsh: Path, cluster: Cluster) -> None:
        self.access, self.cmsh, self.cluster = access, cmsh, cluster
        self.exchanges: list[Exchange] = []

    def ask(self, commands: Sequence[str], *, quit_: bool = False, verbatim: bool = False) -> Exchange:
        """One run of cmsh with its streams apart; raises TimedOut."""
        answer = process.run(
            self.cmsh, commands, self.access.timeout, write=quit_, options=self.access.options, apart=True
        )
        options = (*process.OPTIONS, *(["--quit"] if quit_ else []))
        exchange = Exchange("cmsh", options, "; ".join(commands), answer.text, answer.errors, answer.status, verbatim)
        self.exchanges.append(exchange)
        return exchange

    def file(self, path: str) -> Optional[bytes]:
        """A file of the head node; None when there is none that can be read."""
        try:
            return (self.access.root / path.lstrip("/")).read_bytes()
        except OSError:
            return None

    def note(self, way: str, asked: str, told: str) -> None:
        """Put an exchange on record that went another way than cmsh."""
        self.exchanges.append(Exchange(way, (), asked, told, "", 0, verbatim=False))

    def transcript(self, told: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        """What is saved: answers and exchanges, with the cluster's names replaced and secrets left out."""
        hide = Redaction(self.cluster, str(self.access.root))
        return {
            "format_version": FORMAT,
            "version": self.cluster.version,
            # Answers are words of ours; what they rest on may hold names.
            "answers": {name: {**one, "evidence": hide(one["evidence"])} for name, one in told.items()},
            "exchanges": [self._hidden(exchange, hide) for exchange in self.exchanges],
        }

    @staticmethod
    def _hidden(exchange: Exchange, hide: Redaction) -> dict[str, Any]:
        texts = {name: hide(getattr(exchange, name), fixed=exchange.verbatim) for name in ("stdout", "stderr")}
        return {**asdict(exchange), **texts, "script": hide(exchange.script, fixed=True)}
