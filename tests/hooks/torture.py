"""Many jobs at once on the same GPUs, killed hooks, and a reader all the while: what is lost, stale, unreadable.

A job is lost when its prolog ended and its epilog has not begun and it is not in the map; stale when its epilog ended
and it is in the map. The jobs of one writer come one after the other, so each writer can tell of its own.
"""

from __future__ import annotations

import random
import re
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from tests.hooks.node import MAPS, Node, environment

GPUS = 8
FIRST_JOB = 4_200_000
SHAPES = {"gpustat": re.compile(rb"(\d+ \d+\n)?"), "dcgm-job-map": re.compile(rb"(\d+\n)*")}


@dataclass
class Torture:
    """`writers` that start and end `rounds` jobs each, of which `kills` is the share of hooks that are killed."""

    node: Node
    writers: int
    rounds: int
    kills: float = 0.05
    kinds: Sequence[str] = ("dcgm",)
    sweeps: bool = True
    lost: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    started: int = 0
    killed: int = 0
    abandoned: int = 0
    reads: int = 0
    seconds: float = 0
    holding: dict[int, list[int]] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """All writers to their end, then everything that is left is swept away."""
        began = time.monotonic()
        helpers = [self.read, self.sweep] if self.sweeps else [self.read]
        with ThreadPoolExecutor(self.writers + len(helpers)) as pool:
            others = [pool.submit(helper) for helper in helpers]
            try:
                for done in [pool.submit(self.write, number) for number in range(self.writers)]:
                    done.result()
            finally:
                self.over.set()
            for other in others:
                other.result()
        self.seconds = time.monotonic() - began

    def settle(self) -> None:
        """Two looks of the sweeper, with a time between them; nothing runs any more."""
        self.node.sweep()
        self.node.later()
        self.node.sweep()

    def left(self) -> dict[str, dict[str, list[str]]]:
        """The lines of jobs in the maps."""
        return {map_: self.node.shows(map_) for map_ in MAPS}

    def write(self, writer: int) -> None:
        row = random.Random(writer)
        for number in range(self.rounds):
            job = FIRST_JOB + writer * 10_000 + number
            first, count = row.randrange(GPUS), row.choice((1, 1, 2, 4, 8))
            gpus = sorted((first + i) % GPUS for i in range(count))
            self.job(row, job, gpus)

    def job(self, row: random.Random, job: int, gpus: list[int]) -> None:
        self.node.starts(job)
        self.started += 1
        for kind in self.kinds:
            # Slurm never sees a killed prolog end well; the job is requeued with it, or ended.
            if not self.hook(row, f"prolog-{kind}", job, gpus) and (
                row.random() < 0.5 or not self.hook(None, f"prolog-{kind}", job, gpus)
            ):
                self.end(row, job, gpus)
                return
        self.holding[job] = gpus
        for _ in range(2):
            if "dcgm" in self.kinds:
                self.lost += [f"{job} on {gpu}" for gpu in gpus if not self.maps(job, gpu)]
        del self.holding[job]
        self.end(row, job, gpus)

    def end(self, row: random.Random, job: int, gpus: list[int]) -> None:
        if row.random() < self.kills:  # no epilog at all
            self.abandoned += 1
            self.node.ends(job)
            return
        ended = [self.hook(row, f"epilog-{kind}", job, gpus) for kind in self.kinds]
        self.node.ends(job)
        if all(ended) and "dcgm" in self.kinds:
            self.stale += [f"{job} on {gpu}" for gpu in gpus if self.maps(job, gpu)]

    def maps(self, job: int, gpu: int) -> bool:
        try:
            text = (self.node.run / "dcgm-job-map" / str(gpu)).read_bytes()
        except FileNotFoundError:
            return False
        return b"%d\n" % job in text.splitlines(keepends=True)

    def hook(self, row: Optional[random.Random], name: str, job: int, gpus: list[int]) -> bool:
        """Whether it ended; it may be killed on its way."""
        env = environment(name, job, ",".join(map(str, gpus)))
        env["RUN"] = str(self.node.run)  # for the reference hooks
        child = subprocess.Popen([str(self.node.script(name))], env=env)
        if row and row.random() < self.kills:
            try:
                child.wait(row.uniform(0, 0.05))
            except subprocess.TimeoutExpired:
                child.kill()
        status = child.wait()
        if status == -9:
            self.killed += 1
        elif status != 0:
            self.failed.append(f"{name} of {job}: {status}")
        return status == 0

    def sweep(self) -> None:
        """A sweeper that runs again and again, and is killed at times."""
        row = random.Random(0)
        while not self.over.wait(0.05):
            child = subprocess.Popen([str(self.node.script("gpu-sweep"))], env={})
            if row.random() < 0.2:
                try:
                    child.wait(row.uniform(0, 0.1))
                except subprocess.TimeoutExpired:
                    child.kill()
            if child.wait() not in {0, -9}:
                self.failed.append(f"sweep: {child.returncode}")

    def read(self) -> None:
        """As exporters read: each file that a listing names, which has to be whole."""
        while not self.over.wait(0.002):
            for map_ in MAPS:
                directory = self.node.run / map_
                for path in directory.iterdir() if directory.is_dir() else ():
                    if path.name.startswith("sed"):
                        continue
                    self.look_at(map_, path)
            self.reads += 1

    def look_at(self, map_: str, path: Path) -> None:
        before = self.holding.copy()
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            self.unreadable.append(f"{path.name} vanished")
            return
        if not SHAPES[map_].fullmatch(text):
            self.unreadable.append(f"{map_}/{path.name}: {text[-60:]!r}")
        elif map_ == "dcgm-job-map":
            # Jobs that held the GPU before and after the reading held it all the while.
            here = {job for job, gpus in before.items() if int(path.name) in gpus} & set(self.holding.copy())
            self.lost += [f"{job} on {path.name}, as read" for job in here - set(map(int, text.split()))]

    def figures(self) -> str:
        return (
            f"{self.writers} x {self.rounds}: {self.started} jobs in {self.seconds:.1f} s, {self.killed} hooks killed, "
            f"{self.abandoned} without epilog, {self.reads} readings; {len(self.lost)} lost, {len(self.stale)} stale, "
            f"{len(self.unreadable)} unreadable, {len(self.failed)} failed"
        )
