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
from bcm_jobstats.imaging.synced import Synced, told
from bcm_jobstats.imaging.waves import Wave, too_many
from bcm_jobstats.site.noderange import fold


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
        untouched = self.untouched()
        counts = f"{len(self.verified())} done, {len(self.failed())} failed, {len(untouched)} left: " + (
            f"{fold(untouched)} not touched" if untouched else "no node was left out"
        )
        name = self.record.category
        cause = "\n  ".join([f"stopped: {why}", *told(failed), counts])
        back = f"\n  Go back: bcm-jobstats image rollback {name}" if self.record.source != self.record.image else ""
        return Stopped(f"image rollout {name}", cause, f"Go on: bcm-jobstats image rollout {name}{back}")

    def _wave(self, wave: Wave) -> dict[str, str]:
        """Bring the nodes of one wave to the image, look at them; node -> why it failed."""
        means, nodes = self.means, list(wave.nodes)
        self._mark(nodes, MOVED)
        self.touched += nodes
        moving = [name for name in nodes if self.plan.uses[name] != self.plan.image]
        if moving:
            means.tell(f"  software image {self.plan.image}")
            # In a repair that is their category's already: they need none of their own, however it ends.
            own = "" if self.plan.repair else self.plan.image
            self.means.change("use", lambda: means.work.use(moving, own))
        means.tell("  imageupdate")
        self.means.change("sync", lambda: means.work.sync(nodes, write=True))
        self._mark(nodes, UPDATED)
        failed = self._synced(nodes)
        failed.update(self._look([name for name in nodes if name not in failed]))
        self._mark([name for name in nodes if name not in failed], VERIFIED)
        self._mark(failed, FAILED, failed)
        return {name: failed[name] for name in nodes if name in failed}

    def _synced(self, nodes: Sequence[str]) -> dict[str, str]:
        """node -> why it is not up or not as the image. Stopped, where some are and are to boot all the same."""
        failed, wanting = Synced(self.means, self.options.reboot, self.options.timeout).look(nodes)
        if wanting and not self.options.no_reboot:
            self._mark(failed, FAILED, failed)
            why = f"BCM says restart-required of {fold(wanting)} after the update"
            ways = "--reboot boots such nodes and ends their jobs, --no-reboot goes on without"
            raise self.stop(f"{why}; {ways}", failed)
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
