"""Stand-ins for a cluster in which an image is rolled out: BCM's work on images, the gate, the record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from bcm_jobstats.bcm.entities import Category, Cluster, Node, SoftwareImage
from bcm_jobstats.bcm.imagework import NodeStatus
from bcm_jobstats.imaging.drift import Difference
from bcm_jobstats.imaging.health import Verdict
from bcm_jobstats.imaging.means import Means
from bcm_jobstats.imaging.record import Record
from bcm_jobstats.imaging.rollout import Options
from bcm_jobstats.site import Amount

OLD, NEW = "dgx-image", "dgx-image-jobstats"
CATEGORY = "dgx"


def names(count: int) -> list[str]:
    return [f"n{number}" for number in range(1, count + 1)]


def cluster(count: int, own: Mapping[str, str] = {}, image: str = OLD) -> Cluster:
    """One category of nodes, a head, a node of another category; `own`: node -> its own image."""
    nodes = {name: Node(name, "PhysicalNode", CATEGORY, own.get(name, ""), "UP") for name in names(count)}
    nodes["head"] = Node("head", "HeadNode")
    nodes["login"] = Node("login", "PhysicalNode", "login", "", "UP")
    categories = {CATEGORY: Category(CATEGORY, image), "login": Category("login", "login-image")}
    images = {name: SoftwareImage(name, f"/cm/images/{name}") for name in (OLD, NEW, "third", "login-image")}
    return Cluster("10.0", {}, categories, nodes, images, {})


def options(wave: str = "2", most: str = "0", **more: Any) -> Options:
    return Options(Amount.parse(wave), Amount.parse(most), 20, 60, **more)


@dataclass
class Nodes:
    """What BCM does, in a list of words; nodes whose state it tells are kept here. It is Work, Gate and records."""

    states: dict[str, NodeStatus]
    verdicts_of: dict[str, str] = field(default_factory=dict)
    differ: dict[str, Optional[list[Difference]]] = field(default_factory=dict)
    stale_of: dict[str, set[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    saved: list[Record] = field(default_factory=list)
    jobs: dict[str, str] = field(default_factory=dict)
    passive: bool = False
    now: float = 0.0
    fail_at: str = ""

    def _note(self, what: str, nodes: Collection[str] = ()) -> None:
        self.said.append(f"{what} {','.join(nodes)}".rstrip())
        if what == self.fail_at:
            raise KeyboardInterrupt

    def use(self, nodes: Collection[str], image: str) -> None:
        self._note(f"use {image or '-'}", nodes)

    def use_in_category(self, category: str, image: str) -> None:
        self._note(f"category {image}")

    def sync(self, nodes: Collection[str], *, write: bool) -> str:
        assert write
        assert [self.saved[-1].nodes[name].state for name in nodes], "the record is saved before"
        self._note("sync", nodes)
        return ""

    def restart(self, nodes: Collection[str], services: Collection[str]) -> None:
        self._note(f"restart {'+'.join(services)}", nodes)

    def reboot(self, nodes: Collection[str]) -> None:
        self._note("reboot", nodes)
        self.states.update(dict.fromkeys(nodes, NodeStatus("BOOTING", ("restart-required",))))

    def status(self, nodes: Collection[str]) -> Mapping[str, NodeStatus]:
        return {name: self.states[name] for name in nodes if name in self.states}

    def stale(self, nodes: Collection[str]) -> Mapping[str, Collection[str]]:
        return {name: self.stale_of.get(name, set()) for name in nodes}

    def verdicts(self, nodes: Collection[str]) -> Mapping[str, Verdict]:
        return {name: Verdict(self.verdicts_of.get(name, "")) for name in nodes}

    def differing(self, nodes: Collection[str]) -> Mapping[str, Optional[list[Difference]]]:
        return {name: self.differ.get(name, []) for name in nodes}

    def guard(self) -> None:
        if self.passive:
            raise KeyError("passive")

    def job(self, node: str) -> str:
        self._note("job", [node])
        return self.jobs.get(node, "")

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def means(self) -> Means:
        work: Any = self
        return Means(
            work, self.differing, self.saved.append, self.guard, self, self.job,
            calls=Counter(), pause=self.pause, clock=lambda: self.now,
        )  # fmt: skip


def up(count: int) -> Nodes:
    return Nodes(dict.fromkeys(names(count), NodeStatus("UP")))
