"""One run of the load: submits, cancels what is held, reboots a node in the middle, and collects what all sides say."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from bcm_jobstats.simulator.lab.pod import USER
from bcm_jobstats.simulator.layout import HEAD
from tests.harness import until
from tests.lab.hookjobs import load, recorder, scraper
from tests.lab.hookjobs.check import DCGM, NVML, Scrape
from tests.lab.hookjobs.truth import Hold, Outage, Told, holds, told
from tests.lab.labs import NODES, Lab

STAYS, REBOOTS = NODES
HET = "#!/bin/sh\nexec srun --het-group=0,1 sleep 1\n"
ASK = "sinfo -h -N -o '%N %T'; echo --; squeue -h --array; echo --; scontrol -d -o show job"
LOOK = 0.3  # seconds
SACCT = ("sacct", "--noheader", "--parsable2", "--allocations", "--duplicates", "--user", USER)


@contextmanager
def scraping(lab: Lab, into: Path) -> Iterator[None]:
    """Both exporters of all nodes are scraped from the head node for the length of the block."""
    addresses = [f"{node}:{port}" for node in NODES for port in (DCGM, NVML)]
    source = Path(scraper.__file__).read_text(encoding="utf-8")
    words = lab.pod.words(HEAD, ["python3", "-I", "-c", source, *addresses])
    with into.open("wb") as output, subprocess.Popen(words, stdin=subprocess.PIPE, stdout=output) as process:
        try:
            until(lambda: into.stat().st_size, what="the scraper has begun")
            yield
        finally:
            process.communicate()
    assert process.returncode == 0


def scrapes(file: Path) -> Iterator[Scrape]:
    """What the scraper wrote."""
    for line in file.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        yield Scrape(**{**one, "jobs": frozenset((gpu, job) for gpu, job in one["jobs"])})


@dataclass
class Torrent:
    """The run as it goes on; times are seconds since the epoch."""

    lab: Lab
    told: set[Told] = field(default_factory=set)
    """What slurmctld said of jobs at one time or another."""
    rebooted: Optional[float] = None
    back: Optional[float] = None
    drained: set[str] = field(default_factory=set)
    """What sinfo said of nodes that were drained."""
    _next: float = 0.0
    _left: int = load.JOBS

    def run(self) -> None:
        """Submit all, and look after them until none is left."""
        script = self.lab.path(f"{recorder.SHARED}/het.sh")
        script.write_text(HET, encoding="utf-8")
        submitting = subprocess.Popen(
            self.lab.pod.words(HEAD, ["sh", "-c", load.script()], user=USER),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        until(lambda: self.look() and submitting.poll() is not None, 60.0, "all jobs are submitted")
        assert submitting.returncode == 0
        until(lambda: self.look() == 0 and self.back, 150.0, "all jobs have ended")

    def look(self) -> int:
        """One look at everything: the number of jobs that are left, as of now or of shortly before."""
        self._cancel()
        if time.monotonic() < self._next:  # the looks are not to be the load
            return self._left
        parts = self.lab.on(HEAD, "sh", "-c", ASK).split("--\n")
        self.drained.update(state for state in parts[0].splitlines() if "drain" in state)
        self._left = len(parts[1].splitlines())
        self.told |= told(parts[2])
        self._reboot()
        self._next = time.monotonic() + LOOK
        return self._left

    def _cancel(self) -> None:
        shared = self.lab.path(recorder.SHARED)
        names = [{path.name for path in (shared / place).iterdir()} for place in ("held", "cancelled")]
        for job in names[0] - names[1]:
            self.lab.on(HEAD, "scancel", job)
            (shared / "cancelled" / job).touch()

    def _reboot(self) -> None:
        if self.rebooted is None:
            if len(self.record()) >= 2 * load.JOBS:  # four lines for each run of a job
                self.rebooted = time.time()
                self.lab.cmsh(f"device power off {REBOOTS}")
                # As who does that tells Slurm, which would find out by itself some 25 s later.
                self.lab.on(HEAD, "scontrol", "update", f"nodename={REBOOTS}", "state=down", "reason=reboots")
                self.lab.cmsh(f"device power on {REBOOTS}")
        elif self.back is None and self.lab.status(REBOOTS) == "UP":
            answer = all(self.lab.answers(REBOOTS, port) for port in (DCGM, NVML))
            self.back = time.time() if answer else None

    def record(self) -> list[str]:
        """The recorder's lines."""
        file = self.lab.path(recorder.RECORD)
        return file.read_text(encoding="ascii").splitlines() if file.exists() else []

    @property
    def outages(self) -> list[Outage]:
        """The reboot, until the exporters answered again."""
        assert self.rebooted and self.back
        return [Outage(REBOOTS, self.rebooted, self.back)]

    def holds(self) -> list[Hold]:
        """Who held what, by the recorder."""
        return holds(self.record(), self.outages)

    def accounted(self) -> list[tuple[str, str, str]]:
        """Job, kind and state of every run that Slurm's accounting knows to be over."""
        rows = self.lab.on(HEAD, *SACCT, "--format=JobIDRaw,JobName,State").splitlines()
        found = [(row[0], row[1], row[2].split(" ")[0]) for row in (line.split("|") for line in rows)]
        return [row for row in found if row[2] not in ("PENDING", "RUNNING")]
