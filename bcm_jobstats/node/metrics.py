"""The agent's own metrics, a textfile for node_exporter: does it still ask, is the node as it should be?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Optional

from bcm_jobstats import __version__
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.node import ownfiles
from bcm_jobstats.node.outcome import Outcome

PREFIX = "bcm_role_monitor"
Sample = tuple[Mapping[str, str], float]
Family = tuple[str, str, str, Sequence[Sample]]


class Metrics:
    """Counts and last values. `path` None: nothing is written."""

    def __init__(self, path: Optional[Path]) -> None:
        self.path = path
        self.polls = {"success": 0, "unknown": 0}
        self.last_success: Optional[float] = None

    def go_on(self, former: Metrics) -> None:
        """Count on from where another agent of this process was."""
        self.polls, self.last_success = former.polls, former.last_success

    def answered(self, now: float) -> None:
        """BCM told the role."""
        self.polls["success"] += 1
        self.last_success = now

    def unanswered(self) -> None:
        """BCM was asked and the role is not known."""
        self.polls["unknown"] += 1

    def write(self, outcome: Outcome, attempts: Mapping[str, int]) -> None:
        """Replace the file, or leave it as it was. `attempts`: service -> failed starts. Raises JobstatsError."""
        if self.path is None:
            return
        try:
            ownfiles.replace(self.path, self.text(outcome, attempts).encode(), lasting=False)
        except OSError as error:
            cause = f"cannot be written: {(error.strerror or str(error)).lower()}"
            raise JobstatsError(str(self.path), cause, "Everything else goes on.") from error

    def text(self, outcome: Outcome, attempts: Mapping[str, int]) -> str:
        """The file's content."""
        return "".join(_family(*family) for family in self._families(outcome, attempts) if family[3])

    def _families(self, outcome: Outcome, attempts: Mapping[str, int]) -> Iterator[Family]:
        """Name without the prefix, type, help, samples."""
        yield "build_info", "gauge", "The agent's version.", [({"version": __version__}, 1)]
        last: list[Sample] = [] if self.last_success is None else [({}, self.last_success)]
        yield "last_success_timestamp_seconds", "gauge", "When BCM last told this node's roles.", last
        polls = [({"result": result}, count) for result, count in self.polls.items()]
        yield "polls_total", "counter", "How often BCM was asked since the agent started, by what came of it.", polls
        role = [] if outcome.has is None else [({"role": outcome.role}, outcome.has)]
        yield "role_present", "gauge", "Whether the node has the followed role as far as is known.", role
        active = [({"service": name}, state == "active") for name, state in sorted(outcome.services.items())]
        yield "service_active", "gauge", "Whether a service that follows the role is active.", active
        tried = [({"service": name}, attempts.get(name, 0)) for name in sorted(outcome.services)]
        yield "service_attempts", "gauge", "Failed attempts to start a service since it last ran.", tried
        files = [({"file": name}, there) for name, there in sorted(outcome.targets.items())]
        yield "target_written", "gauge", "Whether this node's target file is on shared storage.", files


def _family(name: str, kind: str, doc: str, samples: Sequence[Sample]) -> str:
    lines = [f"# HELP {PREFIX}_{name} {doc}", f"# TYPE {PREFIX}_{name} {kind}"]
    lines += [f"{PREFIX}_{name}{_labels(labels)} {_value(value)}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _value(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.3f}"
