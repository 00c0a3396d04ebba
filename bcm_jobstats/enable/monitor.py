"""The agent of enable.mode role-monitor in BCM: a service where images have its files, and what stands in its way."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Optional

from bcm_jobstats.bcm import validity
from bcm_jobstats.bcm.entities import CATEGORY, NODE, Cluster, Place
from bcm_jobstats.bcm.keys import OTHERS
from bcm_jobstats.enable import resources
from bcm_jobstats.enable.marks import of_place
from bcm_jobstats.enable.places import Placement
from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.contents import Content
from bcm_jobstats.plan.model import CREATE, DELETE, Change
from bcm_jobstats.plan.resource import Resource
from bcm_jobstats.site.noderange import fold
from bcm_jobstats.site.problems import did_you_mean
from bcm_jobstats.stack import Stack, agent

MAKE = "bcm-jobstats certificate --for role-monitor"
PROFILE = "bcm-jobstats-role-monitor"
STATE = f"/var/lib/{agent.SERVICE}"


def agents(stack: Stack, wanted: Mapping[str, Content], cluster: Cluster) -> Iterator[Resource]:
    """The agent as a service of every category whose image is to have its files (`wanted`), and of nodes that have such
    an image of their own: not only where the role is today, as it is there to follow the role."""
    images = _images(stack, wanted)
    for name, category in sorted(cluster.categories.items()):
        if category.image in images and Place(CATEGORY, name) not in cluster.unseen:
            yield resources.service(agent.SERVICE, Place(CATEGORY, name))
    for name, node in sorted(cluster.nodes.items()):
        above = cluster.categories.get(node.category)
        if not node.is_head and cluster.image_of(node) in images and (above is None or above.image not in images):
            yield resources.service(agent.SERVICE, Place(NODE, name))


def notes(
    stack: Stack, placed: Sequence[Placement], wanted: Mapping[str, Content], cluster: Cluster, root: Path
) -> Iterator[str]:
    """Which role is followed, where no agent follows it, and a key that agents cannot use."""
    images = _images(stack, wanted)
    role = next((placement.role.carried_by for placement in placed), "") if stack.monitored else ""
    if not role:
        return
    if any(placement.places for placement in placed):
        yield f"the exporters follow BCM's role {role}: an agent on the nodes starts and stops them, and registers them"
    else:
        known = {name for names in cluster.roles.values() for name in names}
        yield f"nothing in BCM has the role {role} that the exporters follow; {did_you_mean(role, known)}".rstrip("; ")
    nodes = [node for node in cluster.nodes.values() if not node.is_head]
    without = sorted({node.category for node in nodes if node.category and cluster.image_of(node) not in images})
    some = [name for name in without if cluster.categories[name].image not in images]
    if some:
        yield (
            f"{', '.join(some)}: no node of it has {role}, and its image no agent; when one gets the role, run apply "
            "again, or name the image under images: now"
        )
    odd = [node.name for node in nodes if node.category not in some and cluster.image_of(node) not in images]
    if odd:
        yield f"{fold(odd)}: an image of its own without the files, so that its category's agent cannot start there"
    heads = {node.name for where in cluster.places_with(role) for node in cluster.members(where) if node.is_head}
    if heads:
        yield f"head node {fold(sorted(heads))} has {role} and no software image: no agent runs there"
    yield from _of_key(stack, root)
    yield from _of_certificate(stack, root)


def problems(stack: Stack, root: Path) -> Iterator[str]:
    """An agent without its certificate can ask nothing."""
    paths = (agent.CERTIFICATE, agent.KEY, agent.CA) if stack.monitored else ()
    missing = [path for path in paths if not _there(root / path.lstrip("/"))]
    if missing:
        yield f"{', '.join(missing)}: not there, so that the agents could not ask BCM\n  {MAKE}"
        return
    try:
        left = _days_left(stack, root)
    except JobstatsError as error:
        yield f"{agent.CERTIFICATE} {error.cause}\n  {MAKE} --force"
    else:
        if left is not None and left < 0:
            yield f"{agent.CERTIFICATE} ended: BCM refuses the agents\n  {MAKE} --force"


def _days_left(stack: Stack, root: Path) -> Optional[int]:
    """Of the agents' certificate; None where there are no agents, or we may not look."""
    path = root / agent.CERTIFICATE.lstrip("/")
    if not stack.monitored or not os.access(path, os.R_OK):
        return None
    return (validity.ends(path) - datetime.now(timezone.utc)).days


def _of_certificate(stack: Stack, root: Path) -> Iterator[str]:
    """A certificate that ends soon, and another authority than BCM's of now."""
    try:
        left = _days_left(stack, root)
    except JobstatsError:
        return  # that is a problem
    if left is not None and 0 <= left < validity.SOON:
        yield f"{agent.CERTIFICATE} ends in {left} day{'s' * (left != 1)}: {MAKE} --force"
    ours, of_bcm = (root / path.lstrip("/") for path in (agent.CA, stack.site.bcm.ca))
    if os.access(ours, os.R_OK) and os.access(of_bcm, os.R_OK) and ours.read_bytes() != of_bcm.read_bytes():
        yield f"{agent.CA} is not BCM's authority of now ({stack.site.bcm.ca}), so that agents may not believe BCM"


def _of_key(stack: Stack, root: Path) -> Iterator[str]:
    """A key that agents would not use, or cannot."""
    user = stack.site.user
    try:
        status = (root / agent.KEY.lstrip("/")).stat()
    except OSError:
        return  # it is not there, or only root and the agents' user can look at it
    if stat.S_IMODE(status.st_mode) & OTHERS:
        yield f"{agent.KEY}: others than its owner can read it, so that the agents do not use it; {MAKE} --force"
    elif os.geteuid() == 0 and status.st_uid != user.uid:
        yield f"{agent.KEY} belongs to user number {status.st_uid}, and agents run as {user.name}; {MAKE} --force"


def stopped_first(changes: Sequence[Change]) -> tuple[Change, ...]:
    """The changes with the end of the agents before all others when the mode is left.

    An agent that stops withdraws its node's target file. Whoever registers nodes in the mode to come does so once, when
    its service starts: were the agent stopped after that, the file would stay away.
    """
    of_agents = [change for change in changes if _of_agent(change)]
    if any(change.action == CREATE for change in of_agents):
        return tuple(changes)  # they only move, or come
    ends = [change for change in of_agents if change.action == DELETE]
    return (*ends, *(change for change in changes if change not in ends))


def left(root: Path, cluster: Cluster, changes: Sequence[Change], *, destroyed: bool = False) -> Iterator[str]:
    """What stays when the last agents go, or all of ours is `destroyed`: a certificate is an administrator's to make
    and to revoke."""
    before = {
        f"{where}/{agent.SERVICE}"
        for where, services in cluster.services.items()
        if agent.SERVICE in services and services[agent.SERVICE].revision == of_place(where)
    }
    ends = {change.name for change in changes if _of_agent(change) and change.action == DELETE}
    comes = any(_of_agent(change) and change.action == CREATE for change in changes)
    gone = bool(ends) and before <= ends and not comes
    if (gone or destroyed) and _there(root / agent.KEY.lstrip("/")):
        yield f"{agent.CERTIFICATES} stays, with the agents' certificate: revoke that in cmsh (cert), and remove it"
    if gone:
        yield f"BCM keeps the profile {PROFILE}, and nodes keep {STATE} until BCM next brings them to their image"


def _of_agent(change: Change) -> bool:
    return change.kind == "service" and change.name.rpartition("/")[2] == agent.SERVICE


def _images(stack: Stack, wanted: Mapping[str, Content]) -> Collection[str]:
    """The images that are to have the agent's files."""
    return {name for name, content in wanted.items() if content.roles} if stack.monitored else set()


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True  # who may not look there is told nothing wrong
