"""A rollback on its way. It goes through all nodes: one that fails keeps no other from what it had."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Callable

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.back import Return
from bcm_jobstats.imaging.means import Means
from bcm_jobstats.imaging.record import FAILED, VERIFIED, NodeRecord, Record
from bcm_jobstats.imaging.synced import Synced, told
from bcm_jobstats.imaging.waves import cut
from bcm_jobstats.site import Amount
from bcm_jobstats.site.noderange import fold


@dataclass
class Returning:
    """One run of a rollback."""

    plan: Return
    wave: Amount
    means: Means
    stale: Callable[[Collection[str]], Mapping[str, Collection[str]]]
    """node -> services that run there with files of the image that is left."""
    reboot: bool = False
    """Boot nodes that BCM says have to."""
    timeout: float = 0.0
    """Seconds until they are up."""
    record: Record = field(init=False)
    failed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.record = self.plan.record

    def run(self) -> None:
        """Category, nodes, waves."""
        means, record = self.means, self.record
        means.guard()
        means.keep(record)
        if self.plan.category_too:
            means.tell(f"category {record.category}: software image {record.source}")
            means.change("use", lambda: means.work.use_in_category(record.category, record.source))
        for former in sorted(set(self.plan.owns.values())):
            names = [name for name, image in self.plan.owns.items() if image == former]
            means.tell(f"{fold(names)}: {f'software image {former}' if former else 'that of the category'}")
            means.change("use", lambda names=names, former=former: means.work.use(names, former))  # type: ignore[misc]
        waves = cut(self.plan.nodes, (), self.wave)
        for number, wave in enumerate(waves, 1):
            means.tell(f"[{number}/{len(waves)}] {fold(wave.nodes)}")
            self._wave(wave.nodes)
            done = len([node for node in self.record.nodes.values() if node.state == VERIFIED])
            means.bar(done, len(self.failed), sum(len(later.nodes) for later in waves[number:]))

    def _wave(self, nodes: Sequence[str]) -> None:
        means = self.means
        means.tell("  imageupdate")
        means.change("sync", lambda: means.work.sync(nodes, write=True))
        failed, _ = Synced(means, self.reboot, self.timeout).look(nodes)
        self.failed.update(failed)
        stale = {name: found for name, found in self.stale(nodes).items() if found}
        services = sorted({service for found in stale.values() for service in found})
        if services:
            means.tell(f"  restart {', '.join(services)}")
            means.change("restart", lambda: means.work.restart(list(stale), services))
        for name in [name for name in nodes if name in self.failed]:
            means.tell(f"  {name} failed: {self.failed[name]}")
        means.guard()
        news = {
            name: NodeRecord(
                self.record.nodes[name].former, FAILED if name in self.failed else VERIFIED, self.failed.get(name, "")
            )
            for name in nodes
        }
        self.record = self.record.with_nodes(news)
        means.keep(self.record)


class NotBack(JobstatsError):
    """Some nodes are not as the image has them to which they were to go back."""

    def __init__(self, category: str, failed: Mapping[str, str]) -> None:
        cause = "\n  ".join([f"{len(failed)} nodes are not back: {fold(failed)}", *told(failed)])
        super().__init__(f"image rollback {category}", cause, f"Go on: bcm-jobstats image rollback {category}")
