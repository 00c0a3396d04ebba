"""A node's files into an image (`grabimage -i`): what has to hold before, and what is looked at afterwards.

BCM wipes everything in that image that is not excluded (bcm-facts §6). So the image is a clone made for it, under a
record that says so until the grab was looked at; one of somebody else is written over only when asked for by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bcm_jobstats.bcm.imagework import GRABNEW, ImageWork
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import drift, itemized, lookout, taken
from bcm_jobstats.imaging.build import manifest_digest
from bcm_jobstats.imaging.capture import Finding, judged
from bcm_jobstats.imaging.graborder import CannotGrab, Grab
from bcm_jobstats.imaging.lookout import Told
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.rules import KEY_FILES, SECRET
from bcm_jobstats.imaging.trees import Tree


class BadGrab(JobstatsError):
    """What came into the image is not what it should be."""


@dataclass(frozen=True)
class Preflight:
    """What a look at the node told."""

    told: Told
    findings: tuple[Finding, ...]

    @property
    def secrets(self) -> list[Finding]:
        """What must not get into an image."""
        return [one for one in self.findings if one.kind == SECRET]

    @property
    def warnings(self) -> list[str]:
        """What somebody has to accept."""
        told = [str(one) for one in self.findings if one.kind != SECRET]
        if self.told.jobs:
            told.append(
                f"jobs run there: {', '.join(self.told.jobs)}: files that they are writing are taken half written"
            )
        told += [
            f"{place} has more than {KEY_FILES} small files, and not all were looked into for private keys"
            for place in self.told.crowded
        ]
        return told


def preflight(bcm: Bcm, work: ImageWork, node: str) -> Preflight:
    """A look at the node: what is there, and what of it BCM would take. Raises CannotGrab when it does not answer."""
    status = work.status([node]).get(node)
    if status is None or not status.up:
        raise CannotGrab(f"node {node}", f"is not up ({status.state if status else 'no status'})", "Boot it first.")
    found = told(bcm, node)
    return Preflight(found, tuple(judged(found.entries, work.effective_exclude_list(node, GRABNEW))))


def told(bcm: Bcm, node: str) -> Told:
    """What a node tells of what the rules look for; raises CannotGrab when it does not, or not all of it."""
    answer = bcm.execute([node], lookout.command()).get(node, "")
    found = lookout.told(answer)
    if found is None:
        last = (answer.strip().splitlines() or ["nothing"])[-1]
        raise CannotGrab(
            f"node {node}", f"did not tell what it has: {last:.200}", "Try in cmsh: device; pexec -n NODE ls"
        )
    return found


def require_readable(node: str, log: str) -> list[str]:
    """CannotGrab when the log of a dry run tells of an error, or nothing that can be read; its lines of another form,
    which somebody has to accept, are returned."""
    complaints = itemized.complaints(log)
    if complaints:
        cause = f"the log of the dry run has lines that tell of no file: {_some(complaints)}"
        raise CannotGrab(f"node {node}", cause, f"See in cmsh: device; synclog {node}")
    return itemized.foreign(log)


def require_taken(work: ImageWork, grab: Grab, before: str) -> None:
    """BadGrab when a dry run after the grab still lists what the one `before` it listed, or a log has an error."""
    written = work.synclog(grab.node)
    work.grab(grab.node, grab.target, write=False)
    missed = list(taken.left(before, written, work.synclog(grab.node)))
    if missed:
        remedy = "See BCM's events and the room on its disk, then run the command again."
        raise BadGrab(f"software image {grab.target}", f"does not have all of {grab.node}: {_some(missed)}", remedy)


def _some(lines: Sequence[str]) -> str:
    more = f"; and {len(lines) - 3} more" if len(lines) > 3 else ""
    return f"{'; '.join(f'{line:.150}' for line in lines[:3])}{more}"


def require_unchanged(bcm: Bcm, node: str, image: Tree, found: Told) -> None:
    """CannotGrab when the node has our manifest of its image and files that are not as it says."""
    if not found.manifest or found.manifest != manifest_digest(image):
        return
    differing = drift.of_nodes(bcm, [node], Manifest(image.root, image.manifest))[node] or ()
    if differing:
        shown = "; ".join(f"{one.path}: {one.what}" for one in list(differing)[:3])
        remedy = "Put it back first (cmsh: device; imageupdate -w -n NODE), or change the image: image build."
        raise CannotGrab(f"node {node}", f"files of bcm-jobstats there are not as they were written: {shown}", remedy)


def require_sound(bcm: Bcm, grab: Grab, source: Tree, image: Tree) -> list[str]:
    """BadGrab unless the image has the node's manifest, everything that it lists, and no secret that the image it was
    cloned from lacks; those that it has are returned."""
    subject = f"software image {grab.target}"
    here, there = manifest_digest(image), told(bcm, grab.node).manifest
    if here != there:
        cause = f"its manifest is not that of {grab.node}: {here[:12] or 'none'} and {there[:12] or 'none'}"
        raise BadGrab(subject, cause, "See `synclog` of the node in cmsh, then run the command again.")
    differing = drift.of_tree(image)
    if differing:
        shown = "; ".join(f"{one.path}: {one.what}" for one in differing[:3])
        raise BadGrab(subject, f"is not as its manifest says: {shown}", "Put it right on the node, then grab again.")
    before = set(secrets(source))
    new = [one for one in secrets(image) if one not in before]
    if new:
        raise BadGrab(subject, f"has what must not be in an image: {'; '.join(new)}", "Remove it on the node.")
    return sorted(before)


def secrets(image: Tree) -> list[str]:
    """Secrets in the tree of an image."""
    return [str(one) for one in judged(lookout.of_tree(image.root)) if one.kind == SECRET]


def refusal(grab: Grab, found: Preflight) -> Iterator[str]:
    """For each secret that would be taken: what it is, and the line that keeps it out."""
    for one in found.secrets:
        yield f"{one}\n    remove it there, or add to excludelistgrabnew of category {grab.category}: {one.line}"
