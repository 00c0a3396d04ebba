"""Whether what exporters showed is what Slurm did: every scrape is held against the record of the jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.lab.hookjobs.truth import Hold, Outage

DCGM, NVML = 9400, 9445
"""Ports. dcgm-exporter tells of all jobs of a GPU, the NVML exporter of the one that started last (peers C4, C7)."""


@dataclass(frozen=True)
class Scrape:
    """One answer of one exporter. Times are seconds since the epoch; `status` is 0 when there was no answer."""

    node: str
    port: int
    asked: float
    answered: float
    status: int
    jobs: frozenset[tuple[str, str]]
    """(GPU, job)"""


@dataclass
class Findings:
    """What is wrong with the scrapes of a run, and how much was looked at."""

    errors: list[str] = field(default_factory=list)
    """Answers with a status but 200, and nodes that did not answer although they were up."""
    false: list[str] = field(default_factory=list)
    """A job shown on a GPU that it did not hold, or a job hidden by one that began before it."""
    missed: list[str] = field(default_factory=list)
    """A job not shown although its prolog was through and its epilog had not begun."""
    scrapes: int = 0
    longest_miss: float = 0.0
    """Seconds: the longest that a job was looked for in vain, the time of its prologs included."""
    longest_silence: float = 0.0
    """Seconds: the longest from one answer of an exporter to its next question, outages apart."""
    seen: set[str] = field(default_factory=set)
    """The jobs that were looked for in at least one scrape, and found."""

    @property
    def wrong(self) -> list[str]:
        """All that may not be."""
        return [*self.errors, *self.false, *self.missed]


def check(scrapes: Iterable[Scrape], found: Iterable[Hold], outages: Sequence[Outage] = ()) -> Findings:
    """Hold every scrape against the record."""
    findings = Findings()
    by_node: dict[str, list[Hold]] = defaultdict(list)
    for hold in found:
        by_node[hold.node].append(hold)
    by_exporter: dict[tuple[str, int], list[Scrape]] = defaultdict(list)
    for scrape in sorted(scrapes, key=lambda scrape: scrape.asked):
        by_exporter[scrape.node, scrape.port].append(scrape)
    for (node, _), all_of_it in by_exporter.items():
        up = [scrape for scrape in all_of_it if not _during(scrape, outages)]
        for earlier, later in zip(up, up[1:]):
            if not any(earlier.asked <= outage.begins <= later.asked for outage in outages if outage.node == node):
                findings.longest_silence = max(findings.longest_silence, later.asked - earlier.answered)
        good = [scrape for scrape in up if scrape.status == 200]
        findings.errors += [f"status {scrape.status}: {_where(scrape)}" for scrape in up if scrape.status != 200]
        findings.scrapes += len(good)
        for scrape in good:
            _compare(scrape, by_node[node], findings)
        for hold in by_node[node]:
            findings.longest_miss = max(findings.longest_miss, longest_miss(hold, good))
    return findings


def longest_miss(hold: Hold, scrapes: Sequence[Scrape]) -> float:
    """Seconds between the first and the last of scrapes in a row of one exporter that do not show a job.

    From the begin of its prologs to that of its epilogs. A GPU on which another job is shown is no miss for the NVML
    exporter, which can show one alone.
    """
    most = 0.0
    for gpu in hold.gpus:
        since = None
        for scrape in scrapes:
            if hold.begins <= scrape.asked and scrape.answered <= hold.ends:
                shown = {job for number, job in scrape.jobs if number == gpu}
                if hold.job in shown or (shown and scrape.port == NVML):
                    since = None
                else:
                    since = scrape.asked if since is None else since
                    most = max(most, scrape.answered - since)
    return most


def _during(scrape: Scrape, outages: Iterable[Outage]) -> bool:
    return any(
        outage.node == scrape.node and outage.begins <= scrape.answered and scrape.asked <= outage.ends
        for outage in outages
    )


def _where(scrape: Scrape) -> str:
    return f"{scrape.node}:{scrape.port} at {scrape.asked:.3f}"


def _compare(scrape: Scrape, found: Iterable[Hold], findings: Findings) -> None:
    # Read at some moment between question and answer: what may have been so, and what was so all the while.
    may = [hold for hold in found if hold.begins <= scrape.answered and hold.gone >= scrape.asked]
    was = [hold for hold in may if hold.shown <= scrape.asked and hold.ends >= scrape.answered]
    for gpu, job in sorted(scrape.jobs):
        held = [hold for hold in may if hold.job == job and gpu in hold.gpus]
        if not held:
            findings.false.append(f"job {job} on GPU {gpu} is not there: {_where(scrape)}")
        elif scrape.port == NVML:
            latest = max(hold.shown for hold in held)
            hidden = [hold.job for hold in was if gpu in hold.gpus and hold.begins > latest and hold.job != job]
            findings.false += [f"job {job} on GPU {gpu} hides {one}: {_where(scrape)}" for one in hidden]
    for hold in was:
        for gpu in sorted(hold.gpus):
            shown = {job for number, job in scrape.jobs if number == gpu}
            if hold.job in shown:
                findings.seen.add(hold.job)
            elif not (shown and scrape.port == NVML):
                findings.missed.append(f"job {hold.job} on GPU {gpu}: {_where(scrape)}")
