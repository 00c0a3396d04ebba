"""A node's files into an image (`grabimage -i`): what has to hold before, and what is looked at afterwards.

BCM wipes everything in that image that is not excluded (bcm-facts §6). So the image is a clone made for it, under a
record that says so until the grab was looked at; one of somebody else is written over only when asked for by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bcm_jobstats.bcm.entities import Cluster, Node
from bcm_jobstats.bcm.imagework import GRABNEW, ImageWork
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import drift, lookout, order
from bcm_jobstats.imaging.build import manifest_digest
from bcm_jobstats.imaging.capture import SECRET, Finding, judged
from bcm_jobstats.imaging.lookout import Told
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.order import Order
from bcm_jobstats.imaging.record import CLONING, Record
from bcm_jobstats.imaging.trees import Tree

GRABBING = "grabbing"
"""Stands for the digest in the record of a clone that was found whole, until the grab into it was looked at."""


class CannotGrab(JobstatsError):
    """Nothing can be grabbed from that node, or not now, or not into that image; nothing was changed."""


class BadGrab(JobstatsError):
    """What came into the image is not what it should be."""


@dataclass(frozen=True)
class Grab(Order):
    """A grab from `node` into `target`, cloned from `source`: the image that the node has, which need not be that of
    its category, `home`. `foreign`: the target is somebody else's, and stays whatever happens."""

    node: str = ""
    home: str = ""
    foreign: bool = False

    def record(self, stage: str) -> Record:
        """The record of this grab, by which its image is rolled out."""
        return Record(self.category, self.home, self.target, stage, before=self.before(self.home))

    @property
    def grabbing(self) -> bool:
        """Whether an earlier run was ended after the clone was found whole."""
        return self.former is not None and self.former.stage == CLONING and self.former.digest == GRABBING


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
        return told


def ordered(
    cluster: Cluster, records: Mapping[str, Record], root: Path, node: str, to: str, *, overwrite: bool = False
) -> Grab:
    """What a grab does. Raises CannotGrab, or CannotBuild where a build of that name would be refused too."""
    device = _device(cluster, node)
    home, source = order.image_of(cluster, device.category), str(cluster.image_of(device))
    if source not in cluster.images:
        raise CannotGrab(f"node {node}", f"BCM knows no software image {source}", "Set one that there is.")
    _refuse_used(cluster, records, to)
    if overwrite and to in cluster.images and not any(one.image == to for one in records.values()):
        former = records.get(device.category)
        if former is not None and former.unfinished:
            order.of(cluster, records, root, device.category, to=to, in_place=False)  # refuses, and says why
        return Grab(device.category, source, to, False, former, node, home, foreign=True)
    build = order.of(cluster, records, root, device.category, to=to, in_place=False)
    made = Grab(build.category, source, to, build.clones, build.former, node, home)
    return replace(made, clones=to not in cluster.images or (made.clones and not made.grabbing))


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


def _device(cluster: Cluster, node: str) -> Node:
    device = cluster.nodes.get(node)
    if device is None:
        raise CannotGrab(f"node {node}", "BCM knows no such node", "See in cmsh: device; list")
    if device.is_head or not device.category:
        raise CannotGrab(f"node {node}", "has no software image", "Name a node that boots from one.")
    return device


def _refuse_used(cluster: Cluster, records: Mapping[str, Record], to: str) -> None:
    """A grab wipes the image: one that somebody has, or would go back to, is never the target."""
    users = [f"category {one.name}" for one in cluster.categories.values() if one.image == to]
    users += [f"node {one.name}" for one in cluster.nodes.values() if cluster.image_of(one) == to and one.image]
    ways = [one for record in records.values() for one in record.chain]
    users += [f"the way back of category {one.category}" for one in ways if one.source == to]
    if users:
        more = f" and {len(users) - 2} more" if len(users) > 2 else ""
        cause = f"is used by {', '.join(users[:2])}{more}, and a grab wipes it"
        raise CannotGrab(f"software image {to}", cause, "Give a new name: the image is made by clone.")
