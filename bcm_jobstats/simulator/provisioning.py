"""The provisioning subsystem: syncs of images to nodes and of nodes to images, as many at a time as there are slots.

Boots go through it too, but take no slots here. How a sync that failed is told is not documented: an event of its own
and rsync's complaint in the node's synclog are assumptions (bcm-facts §6).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Callable, Optional

from bcm_jobstats.simulator.events import Events
from bcm_jobstats.simulator.excludelists import Rules
from bcm_jobstats.simulator.faults import FAIL_SYNC, HANG_SYNC, Faults
from bcm_jobstats.simulator.nodelists import effective_rules
from bcm_jobstats.simulator.noderunner import AUTO, FULL, Install, NodeRunner, Synced
from bcm_jobstats.simulator.provisioners import Provisioners
from bcm_jobstats.simulator.state import State
from bcm_jobstats.simulator.switches import Switches

SLOTS = 10
"""The default of a provisioning role's slots (bcm-facts §1.7)."""
MODES = ("nextinstallmode", "installmode")


class Provisioning:
    """Who is provisioned from which image, now and before."""

    def __init__(
        self,
        state: Callable[[], State],
        runner: NodeRunner,
        events: Events,
        switches: Switches,
        provisioners: Provisioners,
        *,
        faults: Faults,
        pause: Callable[[str], None],
    ) -> None:
        """`pause` lets the time pass that a switch tells."""
        self._state = state
        self._runner = runner
        self._events = events
        self._switches = switches
        self._provisioners = provisioners
        self._faults = faults
        self._pause = pause
        self.image_on: dict[str, str] = {}
        """node -> the image that it was last provisioned from."""
        self.logs: dict[str, tuple[str, ...]] = {}
        """node -> what `synclog` shows: the lines of its last sync or grab, dry or not."""
        self.active: list[str] = []
        self.waiting: list[str] = []

    def image_of(self, node: str) -> str:
        """The software image of a node: its own, else its category's (bcm-facts §6)."""
        values = self._state().table("device")[node].values
        category = self._state().table("category").get(str(values.get("category", "")))
        inherited = category.values.get("softwareimage", "") if category else ""
        return str(values.get("softwareimage") or inherited)

    def slots(self, head: str) -> int:
        """How many nodes a head node provisions at a time."""
        device = self._state().table("device").get(head)
        role = device.entries("roles").get("provisioning") if device else None
        return max(1, int(str(role.values.get("provisioningslots", SLOTS)) if role else SLOTS))

    def boot(self, nodes: Iterable[str]) -> set[str]:
        """Switch nodes on (again), each provisioned by its install mode; those that came up."""
        orders: dict[tuple[str, Install], list[str]] = {}
        for node in nodes:
            path = self._path(self.image_of(node))
            if path:
                orders.setdefault((path, self._install(node)), []).append(node)
        up: set[str] = set()
        for (path, install), members in orders.items():
            done = self._runner.boot(members, self._provisioners.source(path), install)
            if install.mode in (AUTO, FULL):
                self.image_on.update((node, self.image_of(node)) for node in done)
            up.update(done)
        return up

    def _install(self, node: str) -> Install:
        state = self._state()
        device = state.table("device")[node].values
        category = state.table("category").get(str(device.get("category", "")))
        own = next((str(device[name]) for name in MODES if device.get(name)), "")
        mode = own or (str(category.values.get("installmode", "")) if category else "") or AUTO
        return Install(mode.upper(), effective_rules(state, node, "sync"), effective_rules(state, node, "full"))

    def update(self, nodes: Collection[str], head: str, *, dry_run: bool, down: Collection[str]) -> set[str]:
        """Sync images to nodes (imageupdate); the nodes that were. The texts are those of bcm-facts §6."""
        if not dry_run:
            self._provisioners.before_imageupdate()
        mode = "mode UPDATE, dry run = " + ("yes, no data changes!" if dry_run else "no")
        todo = [(node, self._source_of(node)) for node in nodes]
        self._failed(head, [node for node, image in todo if node in down and image], "the node is down")
        todo = [(node, image) for node, image in todo if node not in down and image]
        done: set[str] = set()
        size = self.slots(head)
        try:
            while todo:
                batch, todo = todo[:size], todo[size:]
                self.active, self.waiting = [node for node, _ in batch], [node for node, _ in todo]
                done |= self._batch(batch, head, mode, dry_run=dry_run)
        finally:
            self.active, self.waiting = [], []
        return done

    def _batch(self, batch: Iterable[tuple[str, str]], head: str, mode: str, *, dry_run: bool) -> set[str]:
        orders: dict[tuple[str, Rules], list[str]] = {}
        images = dict(batch)
        for node, image in images.items():
            path = self._path(image)
            self._events.add([f"{head}: Provisioning started: sending {head}:{path} to {node}:/, {mode}"])
            orders.setdefault((path, effective_rules(self._state(), node, "update")), []).append(node)
        self._pause("sync_delay")
        results = {node: self._struck(node) for node in images}
        for (path, rules), members in orders.items():
            sound = [node for node in members if results[node] is None]
            source = self._provisioners.source(path)
            results.update(self._runner.update(sound, source, dry_run=dry_run, rules=rules))
        done = {node for node, result in results.items() if self._tell(head, node, result or Synced())}
        if not dry_run:
            self.image_on.update((node, images[node]) for node in done)
        return done

    def grab(self, head: str, node: str, word: str, sync: Callable[[Rules], list[str]], *, down: bool) -> bool:
        """Have `sync` bring a node's files into an image, with the node's list `word` (bcm-facts §6)."""
        if down:
            self._failed(head, [node], "the node is down")
            return False
        self._events.add([f"{head}: Provisioning started on node {node}"])
        self.active = [node]
        try:
            self._pause("sync_delay")
            result = self._struck(node)
            if result is None:
                try:
                    result = Synced(tuple(sync(effective_rules(self._state(), node, word))))
                except OSError as error:
                    result = Synced(error=str(error))
        finally:
            self.active = []
        return self._tell(head, node, result)

    def _struck(self, node: str) -> Optional[Synced]:
        if self._faults.strike(HANG_SYNC, name=node):
            self._faults.hang()
        fault = self._faults.strike(FAIL_SYNC, name=node)
        return Synced(error=fault.message) if fault else None

    def _tell(self, head: str, node: str, result: Synced) -> bool:
        if result.error:
            self._failed(head, [node], result.error)
            return False
        self.logs[node] = result.lines
        self._events.add([f"{head}: Provisioning completed on node {node}"])
        return True

    def _failed(self, head: str, nodes: Iterable[str], reason: str) -> None:
        for node in nodes:
            self.logs[node] = (reason,)
            self._events.add([f"{head}: Provisioning failed on node {node}"])

    def _source_of(self, node: str) -> str:
        """The image that an imageupdate sends: by the switch the one that the node was provisioned from."""
        mine = self.image_of(node)
        return mine if self._switches["imageupdate_new_image"] == "yes" else self.image_on.get(node, mine)

    def _path(self, image: str) -> str:
        """Where an image lies on the head node; "" for none."""
        entity = self._state().table("softwareimage").get(image)
        return str(entity.values.get("path", "")) if entity else ""
