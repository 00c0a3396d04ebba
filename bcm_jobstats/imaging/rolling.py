"""A rollout on its way: wave by wave the image is set, synced, and the nodes looked at; too many failures stop it.

The record is saved before every change, so that a run that ended anywhere is gone on with by the same command.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.means import Means
from bcm_jobstats.imaging.record import FAILED, MOVED, UPDATED, VERIFIED, NodeRecord, Record
from bcm_jobstats.imaging.rollout import Options, RolloutPlan
from bcm_jobstats.imaging.waves import Wave, too_many
from bcm_jobstats.site.noderange import fold

POLL = 5.0
"""Seconds between two looks at nodes that boot."""
SHOWN = 3
"""How many failures a message tells in full."""


class Stopped(JobstatsError):
    """A rollout stopped by itself."""


@dataclass
class Rolling:
    """One run of a rollout."""

    plan: RolloutPlan
    options: Options
    means: Means
    record: Record = field(init=False)
    unchecked: dict[str, str] = field(default_factory=dict)
    """What could not be checked anywhere: what -> why."""
    touched: list[str] = field(default_factory=list)
    """The nodes that this run has come to."""

    def __post_init__(self) -> None:
        self.record = self.plan.record

    def run(self) -> None:
        """All waves; raises Stopped."""
        for number, wave in enumerate(self.plan.waves, 1):
            self._bar()
            where = f"[{number}/{len(self.plan.waves)}] {'canary' if wave.canary else 'wave'} {fold(wave.nodes)}"
            self.means.tell(where)
            failed = self._wave(wave)
            self._bar()
            if too_many(wave, len(failed), len(self.failed()), self._seen(), self.options.most):
                raise self.stop(f"too many failed in {wave.name} {fold(wave.nodes)}", failed)
            for node, why in failed.items():
                self.means.tell(f"  {node} failed: {why}")

    def failed(self) -> dict[str, str]:
        """The nodes of this run that failed, and why."""
        states = {name: self.record.nodes[name] for name in self.touched}
        return {name: node.reason for name, node in states.items() if node.state == FAILED}

    def verified(self) -> list[str]:
        """The nodes that work with the image, of this run and earlier ones."""
        return [name for name, node in self.record.nodes.items() if node.state == VERIFIED]

    def untouched(self) -> list[str]:
        """The nodes of the plan that this run has not come to."""
        return [name for name in self.plan.nodes if name not in self.touched]

    def stop(self, why: str, failed: Mapping[str, str]) -> Stopped:
        """The error that ends a rollout."""
        told = [f"{node}: {reason}" for node, reason in list(failed.items())[:SHOWN]]
        more = [f"and {len(failed) - SHOWN} more"] if len(failed) > SHOWN else []
        untouched = self.untouched()
        counts = f"{len(self.verified())} done, {len(self.failed())} failed, {len(untouched)} left: " + (
            f"{fold(untouched)} not touched" if untouched else "no node was left out"
        )
        name = self.record.category
        cause = "\n  ".join([f"stopped: {why}", *told, *more, counts])
        remedy = f"Go on: bcm-jobstats image rollout {name}\n  Go back: bcm-jobstats image rollback {name}"
        return Stopped(f"image rollout {name}", cause, remedy)

    def _wave(self, wave: Wave) -> dict[str, str]:
        """Bring the nodes of one wave to the image, look at them; node -> why it failed."""
        means, nodes = self.means, list(wave.nodes)
        self._mark(nodes, MOVED)
        self.touched += nodes
        moving = [name for name in nodes if self.plan.uses[name] != self.plan.image]
        if moving:
            means.tell(f"  software image {self.plan.image}")
            self.means.change("use", lambda: means.work.use(moving, self.plan.image))
        means.tell("  imageupdate")
        self.means.change("sync", lambda: means.work.sync(nodes, write=True))
        self._mark(nodes, UPDATED)
        failed = self._required(nodes)
        failed.update(self._compared([name for name in nodes if name not in failed]))
        failed.update(self._look([name for name in nodes if name not in failed]))
        self._mark([name for name in nodes if name not in failed], VERIFIED)
        self._mark(failed, FAILED, failed)
        return {name: failed[name] for name in nodes if name in failed}

    def _required(self, nodes: Sequence[str]) -> dict[str, str]:
        """See to it that nodes that have to boot do; node -> why it is not up."""
        wanting = self._wanting(nodes)
        if not wanting or self.options.no_reboot:
            return self._down(nodes)
        if self.options.reboot:
            return {**self._down([name for name in nodes if name not in wanting]), **self._reboot(wanting, looks=1)}
        why = f"BCM says restart-required of {fold(wanting)} after the update"
        ways = "--reboot boots such nodes and ends their jobs, --no-reboot goes on without"
        raise self.stop(f"{why}; {ways}", {})

    def _compared(self, nodes: Sequence[str]) -> dict[str, str]:
        """Whether files are as in the image; some BCM may bring a new one at the next boot only (capability
        imageupdate-new-image). node -> why not."""
        failed = self._differing(nodes)
        if not failed or not self.options.reboot:
            return failed
        # Two looks: nothing but time tells that these are not up from before.
        down = self._reboot(list(failed), looks=2)
        return {**down, **self._differing([name for name in failed if name not in down])}

    def _reboot(self, nodes: Sequence[str], looks: int) -> dict[str, str]:
        """Boot nodes, until they are seen up so many times in a row; node -> why it is not."""
        self.means.tell(f"  reboot {fold(nodes)}")
        self.means.change("reboot", lambda: self.means.work.reboot(nodes))
        until, seen = self.means.clock() + self.options.timeout, 0
        wanting: list[str] = []
        while seen < looks and self.means.clock() < until:
            self.means.pause(POLL)
            wanting = self._wanting(nodes)
            seen = 0 if wanting or self._down(nodes) else seen + 1
        return {**dict.fromkeys(wanting, "it did not boot in time"), **self._down(nodes)}

    def _wanting(self, nodes: Sequence[str]) -> list[str]:
        self.means.calls["status"] += 1
        self._status = self.means.work.status(nodes)
        return [name for name in nodes if name in self._status and self._status[name].restart_required]

    def _down(self, nodes: Sequence[str]) -> dict[str, str]:
        states = {name: self._status[name].state if name in self._status else "unknown to BCM" for name in nodes}
        return {name: f"it is {state}" for name, state in states.items() if state != "UP"}

    def _differing(self, nodes: Sequence[str]) -> dict[str, str]:
        if not nodes:
            return {}
        self.means.calls["compare"] += 1
        failed = {}
        for name, found in self.means.differing(nodes).items():
            if found is None:
                failed[name] = "it does not tell what files it has"
            elif found:
                some = "; ".join(f"{one.path}: {one.what}" for one in found[:SHOWN])
                more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
                failed[name] = f"it is not as the image after imageupdate: {some}{more}"
        return failed

    def _look(self, nodes: Sequence[str]) -> dict[str, str]:
        """Services run with their new files, the gate, the test job."""
        means, gate = self.means, self.means.gate
        if not nodes or gate is None:
            return {}
        means.calls["reload"] += 1
        stale = {name: found for name, found in gate.stale(nodes).items() if found}
        services = sorted({service for found in stale.values() for service in found})
        if services:
            means.tell(f"  restart {', '.join(services)}")
            self.means.change("restart", lambda: means.work.restart(list(stale), services))
        means.tell("  health")
        means.calls["health"] += 1
        verdicts = gate.verdicts(nodes)
        failed = {name: verdict.failed for name, verdict in verdicts.items() if verdict.failed}
        for verdict in verdicts.values():
            self.unchecked.update(verdict.unchecked)
        tried = next((name for name in nodes if name not in failed), None)
        why = means.job(tried) if tried else ""
        if tried and why:
            failed[tried] = f"test job: {why}"
        return failed

    def _mark(self, nodes: Collection[str], state: str, reasons: Optional[Mapping[str, str]] = None) -> None:
        if not nodes:
            return
        self.means.guard()
        told = {name: NodeRecord(self.plan.formers[name], state, (reasons or {}).get(name, "")) for name in nodes}
        self.record = self.record.with_nodes(told)
        self.means.keep(self.record)

    def _seen(self) -> int:
        """How many nodes went, in this run and in earlier ones."""
        return len(self.verified()) + len(self.failed())

    def _bar(self) -> None:
        done, failed = len(self.verified()), len(self.failed())
        self.means.bar(done, failed, len(self.untouched()))
