"""What nodes are like after their imageupdate: up, as their image, and whether BCM wants them to boot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bcm_jobstats.bcm.imagework import NodeStatus
from bcm_jobstats.imaging.means import Means
from bcm_jobstats.site.noderange import fold

POLL = 5.0
"""Seconds between two looks at nodes that boot."""
SHOWN = 3
"""How many findings a message tells in full."""
MAY_NEED_REBOOT = "BCM says restart-required: it may need --reboot"


@dataclass
class Synced:
    """A look at nodes that were just synced. `reboot`: boot those that have to; they are up in `timeout` seconds."""

    means: Means
    reboot: bool
    timeout: float

    def look(self, nodes: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        """node -> why it is not up or not as its image; and which of the others BCM wants to boot. With `reboot` those
        have booted."""
        status = self._status(nodes)
        wanting = [name for name in nodes if name in status and status[name].restart_required]
        failed = self._boot(wanting, looks=1) if self.reboot else {}
        failed.update(_down([name for name in nodes if not self.reboot or name not in wanting], status))
        differing = self._differing([name for name in nodes if name not in failed])
        if self.reboot and differing:
            # Some BCM may bring a new image at the next boot only (capability imageupdate-new-image). Two looks:
            # nothing but time tells that these are not up from before.
            failed.update(self._boot(list(differing), looks=2))
            differing = self._differing([name for name in differing if name not in failed])
        failed.update(differing)
        if self.reboot:
            return failed, []
        failed.update({name: f"{failed[name]}; {MAY_NEED_REBOOT}" for name in wanting if name in differing})
        return failed, [name for name in wanting if name not in failed]

    def _boot(self, nodes: Sequence[str], looks: int) -> dict[str, str]:
        """Boot nodes, until they are seen up so many times in a row; node -> why it is not."""
        if not nodes:
            return {}
        self.means.tell(f"  reboot {fold(nodes)}")
        self.means.change("reboot", lambda: self.means.work.reboot(nodes))
        until, seen = self.means.clock() + self.timeout, 0
        failed = dict.fromkeys(nodes, "it did not boot in time")
        while seen < looks and self.means.clock() < until:
            self.means.pause(POLL)
            status = self._status(nodes)
            wanting = [name for name in nodes if name in status and status[name].restart_required]
            failed = {**dict.fromkeys(wanting, "it did not boot in time"), **_down(nodes, status)}
            seen = 0 if failed else seen + 1
        return failed

    def _status(self, nodes: Sequence[str]) -> Mapping[str, NodeStatus]:
        self.means.calls["status"] += 1
        return self.means.work.status(nodes)

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


def told(failed: Mapping[str, str]) -> list[str]:
    """The first of some failures, for a message."""
    some = [f"{node}: {why}" for node, why in list(failed.items())[:SHOWN]]
    return [*some, f"and {len(failed) - SHOWN} more"] if len(failed) > SHOWN else some


def _down(nodes: Iterable[str], status: Mapping[str, NodeStatus]) -> dict[str, str]:
    states = {name: status[name].state if name in status else "unknown to BCM" for name in nodes}
    return {name: f"it is {state}" for name, state in states.items() if state != "UP"}
