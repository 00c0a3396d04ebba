"""The steps of a build that change something: the clone, what is written into it, and its record. No node is touched.

Every step is on record before it is made, so that the same command completes a build that was killed.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from bcm_jobstats.bcm.imagework import ImageWork
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import clonecheck
from bcm_jobstats.imaging.manifest import clear_leftovers
from bcm_jobstats.imaging.order import Order
from bcm_jobstats.imaging.originals import SharedOriginals
from bcm_jobstats.imaging.record import BUILDING, BUILT, CLONING, Record, Records
from bcm_jobstats.imaging.store import digest
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.plan.apply import Journal, Progress, carry_out
from bcm_jobstats.plan.model import Plan
from bcm_jobstats.plan.resource import Provider

PATIENCE = 20.0
"""Seconds without a byte more, after which BCM is not copying any longer."""
SECOND = 1.0
Tell = Callable[[str, float], None]
"""Told of work that takes long: what it is, and since how many seconds."""


class NotWhole(JobstatsError):
    """A clone lacks something that its source has; it was removed."""


class DiskFull(JobstatsError):
    """The images' file system became full; the clone was removed, and the image it was made from is as it was."""


class NoJournal(Journal):
    """For an image that no node uses: going back is giving it up."""

    def begin(self, plan: Plan) -> int:
        """See Journal."""
        return 0

    def finish(self, number: int) -> None:
        """See Journal."""


@dataclass
class Builder:
    """A build under way. `source` is the tree of the image that is cloned."""

    work: ImageWork
    records: Records
    originals: SharedOriginals
    order: Order
    source: Tree
    tell: Tell = lambda what, seconds: None

    def require_room(self) -> None:
        """Raises NoRoom, before anything is changed."""
        clonecheck.require_room(self.source.root, self.source.root.parent)

    def clone(self, known: Optional[Path]) -> None:
        """Have BCM clone the image and wait for it. `known`: the clone's directory when BCM knows it from an earlier
        run, which was killed while BCM copied: the copy may be whole, be under way, or have ended too early."""
        if known is not None:
            if self._comes_to_be_whole(known):
                return
            self.work.remove(self.order.target)
        self.require_room()
        self.records.save(self.order.record(CLONING))
        try:
            self._waited(f"cloning {self.order.source}", lambda: self.work.clone(self.order.source, self.order.target))
        except JobstatsError as error:
            if self._full():
                raise self._given_up(error) from error
            raise

    def check(self, clone: Tree) -> None:
        """NotWhole, or DiskFull, when the clone is not as its source; then it is removed. What an administrator had in
        the source before we took it over is kept for the clone too."""
        lacking = clonecheck.differences(self.source.root, clone.root)
        if lacking:
            full = self._full()
            self.abandon()
            if full:
                raise self._disk_full(lacking[0])
            remedy = "See BCM's events of that time, then run the command again."
            raise NotWhole(f"clone {self.order.target}", f"was not whole and was removed: {'; '.join(lacking)}", remedy)
        for address, state in self.originals.all().items():
            kind, _, name = address.partition(".")
            image, _, path = name.partition(":")
            if image == self.order.source:
                self.originals.hold(f"{kind}.{self.order.target}:{path}", state)

    def fill(
        self, plan: Plan, providers: Sequence[Provider], tree: Tree, journal: Journal, progress: Progress
    ) -> Record:
        """Carry out `plan` in the image. A clone that found no room is removed."""
        record = self.records.save(self.order.record(BUILDING))
        clear_leftovers(tree.root, tree.manifest)
        try:
            carry_out(plan, providers, journal, self.originals, progress)
        except JobstatsError as error:
            if self.order.in_place or not (_no_space(error) or self._full()):
                raise
            raise self._given_up(error) from error
        return record

    def finish(self, tree: Tree) -> Record:
        """The image is as it should be: the provisioning nodes are told, then the record."""
        self.work.update_provisioners()
        return self.records.save(self.order.record(BUILT).at(BUILT, digest=manifest_digest(tree)))

    def abandon(self) -> None:
        """Remove the clone and put the record back."""
        self.work.remove(self.order.target)
        for address in self.originals.all():
            if address.partition(".")[2].startswith(f"{self.order.target}:"):
                self.originals.release(address)
        self.records.end(self.order.record(CLONING))

    def _given_up(self, error: JobstatsError) -> DiskFull:
        self.abandon()
        return self._disk_full(f"{error.subject}: {error.cause}")

    def _disk_full(self, cause: str) -> DiskFull:
        left = clonecheck.free(self.source.root.parent) / clonecheck.GIB
        return DiskFull(
            f"software image {self.order.target}",
            f"the file system of {self.source.root.parent} is full ({cause})",
            f"The clone was removed ({left:.1f} GiB are free now), {self.order.source} is as it was. Make room and run "
            f"the command again.",
        )

    def _full(self) -> bool:
        return clonecheck.free(self.source.root.parent) < clonecheck.FULL

    def _comes_to_be_whole(self, clone: Path) -> bool:
        size, since = -1, time.monotonic()
        while clonecheck.differences(self.source.root, clone, 1):
            now = clonecheck.allocated(clone) if clone.is_dir() else 0
            if now != size:
                size, since = now, time.monotonic()
            elif time.monotonic() - since > PATIENCE:
                return False
            time.sleep(SECOND)
        return True

    def _waited(self, what: str, work: Callable[[], None]) -> None:
        """Work in a thread, so that somebody at a terminal sees time pass."""
        errors: list[BaseException] = []

        def run() -> None:
            try:
                work()
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run, name="clone", daemon=True)
        start = time.monotonic()
        thread.start()
        while thread.is_alive():
            thread.join(SECOND)
            self.tell(what, time.monotonic() - start)
        if errors:
            raise errors[0]


def manifest_digest(tree: Tree) -> str:
    """By which a rollout knows the image that was built; "" when nothing of ours is in it."""
    return digest(tree.record) if tree.record.is_file() else ""


def _no_space(error: JobstatsError) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT}
