"""What the provisioning nodes have of the software images: the passive head gets them from the active one (§6, §10)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Optional

from bcm_jobstats.simulator.events import Events
from bcm_jobstats.simulator.ha import Heads
from bcm_jobstats.simulator.images import remove_tree
from bcm_jobstats.simulator.switches import Switches
from bcm_jobstats.simulator.treesync import sync_tree

DIRTY = "dirty"
DIRTY_AUTO_UPDATE_SECONDS = 300.0
"""`imageupdate` updates the provisioning nodes by itself when they were updated longer ago (bcm-facts §6)."""
IMAGES = "cm/images"


class Clock:
    """Seconds that pass by themselves, and more when a test says so."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._ahead += seconds


class Provisioners:
    """The copy of the images from which nodes are provisioned.

    It is the passive head's /cm/images. With one head, which provisions from the images themselves, it is a picture
    kept beside them, and only while the switch `provisioners` is `dirty`: then an image that was changed a moment ago
    is missed, as bcm-facts §11.19 warns, unless `updateprovisioners` was run.
    """

    def __init__(
        self, heads: Heads, paths: Callable[[], Iterable[str]], switches: Switches, events: Events, spare: Path
    ) -> None:
        """`paths` tells the images' paths on a head; `spare` is where the picture lies when there is one head."""
        self._heads = heads
        self._paths = paths
        self._switches = switches
        self._events = events
        self._spare = spare
        self.clock = Clock()
        self._updated: Optional[float] = None

    @property
    def _dirty(self) -> bool:
        return self._switches["provisioners"] == DIRTY

    def begin(self) -> None:
        """Bring the copy up to date where nodes are provisioned from it."""
        if self._dirty:
            self.update()

    def update(self) -> None:
        """`updateprovisioners`: make the copy equal to the images of the active head."""
        target = self._target()
        if target is None:
            return
        for path in self._paths():
            self._copy(path, target)
        there = target / IMAGES
        for stale in there.iterdir() if there.is_dir() else ():
            if not (self._heads.root() / IMAGES / stale.name).exists():
                remove_tree(stale, target)
        self._updated = self.clock.now()

    def before_imageupdate(self) -> None:
        """`imageupdate` was ordered: it updates the provisioning nodes first, always or if that was long ago."""
        old = self._updated is None or self.clock.now() - self._updated > DIRTY_AUTO_UPDATE_SECONDS
        if old or not self._dirty:
            self.update()

    def source(self, path: str) -> Path:
        """The tree from which nodes get the image with a path such as /cm/images/default-image."""
        target = self._target()
        copy = target / path.lstrip("/") if target is not None else None
        if self._dirty and copy is not None and copy.is_dir():
            return copy
        return self._heads.root() / path.lstrip("/")

    def _target(self) -> Optional[Path]:
        other = self._heads.other()
        if other:
            return None if other in self._heads.down else self._heads.root(other)
        return self._spare if self._dirty else None

    def _copy(self, path: str, target: Path) -> None:
        image = self._heads.root() / path.lstrip("/")
        if not image.is_dir():
            return
        active, other = self._heads.active, self._heads.other()
        if other:
            told = f"{active}: Provisioning started: sending {active}:{path} to {other}:{path}"
            self._events.add([f"{told}, mode UPDATE, dry run = no"])
        sync_tree(image, target / path.lstrip("/"))
        if other:
            self._events.add([f"{active}: Provisioning completed on node {other}"])
