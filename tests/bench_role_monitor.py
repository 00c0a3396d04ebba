"""The rows of the performance table about the role monitor: what a thousand cost the head node (CPU: ticks of 10 ms).

The agents are real (node.asking) and ask the simulated head over real TLS, each with an own certificate's context; what
is virtual is their clock. One after the other they ask in the order of their times, so no two of them wait for each
other here. The seed's pattern runs against the same head: two full lists for each node and minute (peers B4).
"""

from __future__ import annotations

import gzip
import heapq
import http.client
import json
import os
import random
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, TypeVar

from bcm_jobstats.node.agent import LATEST, SOONEST
from bcm_jobstats.node.asking import BcmRoles
from bcm_jobstats.node.config import Config
from bcm_jobstats.node.devices import Devices
from bcm_jobstats.node.heads import PATH, Heads
from bcm_jobstats.simulator import Simulator, pki
from tests.harness import cluster, cmsh

NODES, INTERVAL, MINUTES = 1000, 60.0, 5
SEEDS = 200
"""Questions of the seed that are asked; its 2,000 a minute are computed from them."""
TARGET = ">= 10 x fewer bytes and records"
T = TypeVar("T")
Row = tuple[str, str, str, str]


@dataclass
class Cost:
    """What was asked: questions, bytes on the wire in both directions with TLS, devices told, and the head's CPU."""

    requests: float = 0
    wire: float = 0
    records: float = 0
    cpu: float = 0

    def times(self, factor: float) -> Cost:
        return Cost(*(getattr(self, name) * factor for name in ("requests", "wire", "records", "cpu")))

    def __str__(self) -> str:
        asked = f"{self.requests:,.0f} requests, {self.wire / 1e6:,.2f} MB, {self.records:,.0f} records"
        return f"{asked}, {self.cpu:.2f} s CPU"

    def fewer(self, than: Cost) -> str:
        parts = (("requests", "requests"), ("wire", "bytes"), ("records", "records"), ("cpu", "CPU"))
        ratios = ((getattr(than, name) / max(getattr(self, name), 1e-9), word) for name, word in parts)
        return ", ".join(f"{ratio:,.0f} x fewer {word}" if ratio < 1e6 else f"no {word}" for ratio, word in ratios)


def rows(directory: Path) -> Iterator[Row]:
    """Everything against one simulated head with a thousand nodes."""
    with cluster(directory / "head", profile="bcm11", nodes=NODES) as simulator, relay(simulator) as meter:
        _say(f"The seed's pattern: {SEEDS} of {2 * NODES} questions a minute")
        seed = meter.of(lambda: _seed(simulator, meter, packed=False)).times(2 * NODES / SEEDS)
        packed = meter.of(lambda: _seed(simulator, meter, packed=True)).times(2 * NODES / SEEDS)
        how = f"computed from {SEEDS} questions"
        yield ("seed 4's two lists for each node, a minute", str(seed), "-", how)
        yield ("the same, had it asked for gzip", str(packed), "-", how)
        _say(f"{NODES} agents")
        agents = Agents(simulator, meter, directory)
        yield (f"{NODES:,} agents at once, knowing nothing", str(meter.of(agents.start)), "-", "once, over 30 s")
        agents.run(INTERVAL)
        found = meter.of(lambda: agents.run(MINUTES * INTERVAL)).times(1 / MINUTES)
        against = f"{found.fewer(seed)}; with gzip: {found.fewer(packed)}"
        yield (f"{NODES:,} agents, a minute of {MINUTES}", str(found), TARGET, against)
        cmsh(simulator, "configurationoverlay; use slurm-client; clear categories; clear nodes; commit")
        changed = meter.of(lambda: agents.run(INTERVAL))
        assert not any(agents.known.values())
        yield (f"the role taken from all {NODES:,}, a minute", str(changed), "-", changed.fewer(seed))
        last = f"{max(agents.changed.values()) - agents.since:.0f} s, the last node"
        yield ("until that is seen, with check_interval 60", last, "<= 60 s", "seed: 60 s and its two questions")


class Agents:
    """All of them, with one virtual clock and one shared storage."""

    def __init__(self, simulator: Simulator, meter: Meter, directory: Path) -> None:
        pem, key = directory / "monitor.pem", directory / "monitor.key"
        pki.issue(simulator.directory, "monitor", "portal", "", 9, key, pem)
        (directory / "shared").mkdir()
        config = Config(
            heads=("127.0.0.1",),
            port=meter.port,
            certificate=pem,
            key=key,
            ca=simulator.directory / pki.CA,
            check_interval=INTERVAL,
            targets=directory / "shared/targets",
        )
        self.now = self.since = time.time()
        hosts = [name for name in _devices(simulator, meter) if name.startswith("dgx-")]
        assert len(hosts) == NODES
        self._chance = random.Random(1)
        self.agents = {host: self._agent(config) for host in hosts}
        self.known: dict[str, Optional[bool]] = dict.fromkeys(hosts)
        self.changed: dict[str, float] = {}
        self._due: list[tuple[float, str]] = []

    def _agent(self, config: Config) -> BcmRoles:
        return BcmRoles(config, _directly, lambda: self.now, self._sleep, chance=self._chance.uniform)

    def start(self) -> None:
        """Everybody's first question, within half an interval."""
        begun = self.now
        for host in self.agents:
            heapq.heappush(self._due, (begun + self._chance.uniform(0, INTERVAL / 2), host))
        self._until(begun + INTERVAL / 2)

    def run(self, seconds: float) -> None:
        """The questions of so many seconds."""
        self.since = self.now
        self._until(self.now + seconds)

    def _until(self, end: float) -> None:
        while self._due[0][0] <= end:
            self.now, host = heapq.heappop(self._due)
            known = self.agents[host].has(host, self.known[host])
            if known is not self.known[host]:
                self.known[host], self.changed[host] = known, self.now
            heapq.heappush(self._due, (self.now + self._chance.uniform(SOONEST, LATEST) * INTERVAL, host))
        self.now = end

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


def _directly(what: str, function: Callable[[], T]) -> T:
    return function()


def _seed(simulator: Simulator, meter: Meter, *, packed: bool) -> None:
    for _ in range(SEEDS):
        meter.total.records += len(_devices(simulator, meter, packed=packed))


def _devices(simulator: Simulator, meter: Meter, *, packed: bool = False) -> list[str]:
    """One full list, in a connection of its own as the seed has it."""
    context = ssl.create_default_context(cafile=str(simulator.directory / pki.CA))
    context.load_cert_chain(simulator.directory / pki.ADMIN, simulator.directory / pki.ADMIN_KEY)
    link = http.client.HTTPSConnection("127.0.0.1", meter.port, context=context)
    link.request("GET", PATH, headers={"Accept-Encoding": "gzip" if packed else "identity"})
    body = link.getresponse().read()
    link.close()
    if packed:
        body = gzip.decompress(body)

    return [device["hostname"] for device in json.loads(body)]


@dataclass
class Meter:
    """Counts what goes through to the head."""

    port: int
    pid: int
    total: Cost = field(default_factory=Cost)

    def of(self, work: Callable[[], object]) -> Cost:
        """What some work cost."""
        self.total = Cost()
        began = self._cpu()
        work()
        self.total.cpu = self._cpu() - began
        return self.total

    def _cpu(self) -> float:
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def relay(simulator: Simulator) -> Iterator[Meter]:
    """A port that leads to the head's, where connections and bytes are counted; and devices, where they are read."""
    host, _, number = simulator.https.rpartition(":")
    assert simulator.pid
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        meter = Meter(listener.getsockname()[1], simulator.pid)
        real = Heads.ask

        def ask(self: Heads) -> Devices:
            devices = real(self)
            meter.total.records += 0 if self.same else len(devices.roles)
            return devices

        Heads.ask = ask  # type: ignore[method-assign]
        threading.Thread(target=_accept, args=(listener, (host, int(number)), meter), daemon=True).start()
        try:
            yield meter
        finally:
            Heads.ask = real  # type: ignore[method-assign]
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, to: tuple[str, int], meter: Meter) -> None:
    with suppress(OSError):
        while True:
            link, _ = listener.accept()
            meter.total.requests += 1
            with link, socket.create_connection(to) as other, suppress(ConnectionError):
                _pump(link, other, meter)


def _pump(one: socket.socket, other: socket.socket, meter: Meter) -> None:
    """Both directions until either end is over. One connection at a time: nobody asks two things at once here."""
    while True:
        for ready in select.select([one, other], [], [])[0]:
            data = ready.recv(1 << 16)
            if not data:
                return
            meter.total.wire += len(data)
            (other if ready is one else one).sendall(data)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
