"""One deployment: site, definitions and cluster put together into resources, providers and plans."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from bcm_jobstats.bcm import capabilities, heads
from bcm_jobstats.bcm.choice import AUTO, Access, Choice, choose
from bcm_jobstats.bcm.entities import Cluster, Producer
from bcm_jobstats.bcm.errors import Unreadable
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.enable import headfiles, metrics, places
from bcm_jobstats.enable.marks import is_ours
from bcm_jobstats.imaging import contents, payload
from bcm_jobstats.imaging.manifest import clear_leftovers
from bcm_jobstats.imaging.originals import SharedOriginals
from bcm_jobstats.imaging.record import Record, Records
from bcm_jobstats.imaging.sources import Sources
from bcm_jobstats.imaging.store import Store
from bcm_jobstats.imaging.supplied import Supplied
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.monitoring.targets import Targets
from bcm_jobstats.plan.generations import Generations
from bcm_jobstats.site import ROLE_MONITOR, Site, SiteError
from bcm_jobstats.slurm import resources as slurm
from bcm_jobstats.stack import Stack, load, load_definitions

if TYPE_CHECKING:
    from bcm_jobstats.bcm.imagework import ImageWork

log = logging.getLogger(__name__)
STATE = "var/lib/bcm-jobstats"
GENERIC_ROLE, SERVICES = "generic-role", "services"


@dataclass
class Deployment:
    """What the commands work on. Nothing is read from the cluster before it is asked for."""

    root: Path
    site_file: Path
    lenient: bool = False
    """Go by the defaults when the site file or a definition is not sound: enough to take everything of ours back."""
    way: str = AUTO
    """The way to BCM, as `--bcm` names it."""
    thorough: bool = False
    """Look for what is ours in every place, also where neither site file nor journal tells of any: both may be lost."""
    unsound: str = ""
    """What is wrong with the site file, where `lenient` goes by the defaults; known with `stack`."""
    bundle: Optional[Path] = None
    """A file that `image fetch` made, where artifacts are looked for first."""
    _assigns: bool = False

    @cached_property
    def stack(self) -> Stack:
        """The checked site and definitions; raises SiteError."""
        try:
            return Stack(*load(self.site_file, self.root))
        except SiteError as error:
            if self.lenient:
                self.unsound = str(error)
                return Stack(Site(), load_definitions())
            raise

    @cached_property
    def access(self) -> Access:
        """How BCM is reached."""
        bcm = self.stack.site.bcm  # a bad site file is told before a missing cmsh
        below = {name: self.root / path.lstrip("/") for name in ("certificate", "key") if (path := getattr(bcm, name))}
        return Access(self.root, bcm.timeout.seconds, bcm.address, self.root / bcm.ca.lstrip("/"), **below)

    @cached_property
    def choice(self) -> Choice:
        """The way to BCM and why; raises Unreachable when there is none."""
        choice = choose(self.way, self.access)
        log.info("--bcm %s takes %s", self.way, choice.reason)
        return choice

    @property
    def bcm(self) -> Bcm:
        """The way to BCM."""
        return self.choice.bcm

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster as it was when it was first asked for."""
        cluster = self._read()
        if not self.stack.site.role_monitor.heads:
            self.stack.heads = tuple(heads.names(cluster))
        return cluster

    def _read(self) -> Cluster:
        wanted = places.followed(self.stack.site, self.stack.roles()) | self._own_roles()
        # No role tells which single nodes hold services of ours, so all are asked.
        services = self.stack.site.enable.mode == SERVICES or bool(self.journal("service.node/"))
        every_node = services or self.thorough or self._journal_is_elsewhere()
        cluster = self.bcm.read(wanted, every_node=every_node)
        mode = self._mode_on(cluster)
        if not every_node and (mode == SERVICES or (mode == ROLE_MONITOR and _own_images(cluster))):
            return self.bcm.read(wanted, every_node=True)
        return cluster

    def _journal_is_elsewhere(self) -> bool:
        """Whether something of ours is deployed that this head's journal knows nothing of: the other head did it."""
        return payload.shared_tree(self.root).record.exists() and not self.generations.all()

    def _own_roles(self) -> set[str]:
        """Generic roles that single nodes may carry by our doing, also those that the site no longer wants."""
        names = {*self.stack.definitions.roles, *self.stack.site.roles}
        before = {address.rpartition("/")[2] for address in self.journal("role.node/")}
        return {f"generic::{name}" for name in names} | before

    def journal(self, start: str) -> list[str]:
        """Addresses in the journal that begin with `start`."""
        changes = (change for generation in self.generations.all() for change in generation.plan.changes)
        return [change.address for change in changes if change.address.startswith(start)]

    @cached_property
    def generations(self) -> Generations:
        """The journal of this head node."""
        return Generations(self.root / STATE / "generations")

    @cached_property
    def mode(self) -> str:
        """How services are enabled; `auto` asks the cluster."""
        return self._mode_on(self.cluster)

    def _mode_on(self, cluster: Cluster) -> str:
        mode = self.stack.site.enable.mode
        if mode == "auto":
            # A role of ours that is there proves more than a probe, which may fail for another reason.
            roles = (role for there in cluster.generic.values() for role in there.values())
            self._assigns = self._assigns or any(is_ours(role.revision) for role in roles)
            if not self._assigns and not self.bcm.writes and _has_services_of_ours(cluster):
                return SERVICES  # who only reads can try nothing, and goes by what the last apply did
            self._assigns = self._assigns or capabilities.can_assign_generic_role(self.bcm, cluster)
            return GENERIC_ROLE if self._assigns else SERVICES
        return mode

    @cached_property
    def targets(self) -> Targets:
        """The targets directory."""
        directory = self.root / self.stack.site.targets.directory.lstrip("/")
        return Targets(self.stack, directory, self.cluster.nodes.keys())

    @cached_property
    def originals(self) -> SharedOriginals:
        """What administrators had where we took over."""
        return SharedOriginals(payload.shared_tree(self.root))

    @cached_property
    def records(self) -> Records:
        """What was built for categories, and how far their rollouts are."""
        return Records(payload.shared_tree(self.root))

    @cached_property
    def store(self) -> Store:
        """The programs that images get."""
        return Store.of_head(self.root)

    @cached_property
    def supplied(self) -> Supplied:
        """The site's artifacts. Raises BadBundle."""
        from bcm_jobstats.imaging.bundle import Bundle

        return Supplied(Sources(self.root, self.store, Bundle.open(self.bundle) if self.bundle else None))

    @cached_property
    def imagework(self) -> ImageWork:
        """Work on software images: always through cmsh; raises Unreachable where there is none."""
        from bcm_jobstats.bcm.cmsh import process
        from bcm_jobstats.bcm.cmsh.imagework import CmshImageWork

        return CmshImageWork(process.find(self.root), self.access.timeout, self.access.options)

    @property
    def lock(self) -> Path:
        """The lock file of this head node."""
        return self.root / STATE / "lock"

    def refresh(self) -> None:
        """Forget what was read from the cluster."""
        for name in ("cluster", "producers", "other_head", "supplied", "wanted"):
            self.__dict__.pop(name, None)

    def tidy(self) -> None:
        """Remove what a killed run left half made or half removed; the nodes would get it with the next update."""
        for tree in (*payload.image_trees(self.cluster, self.root), payload.shared_tree(self.root)):
            clear_leftovers(tree.root, tree.manifest)
        headfiles.clear_leftovers(self.root)
        slurm.clear_leftovers(self.cluster, self.root)

    @cached_property
    def producers(self) -> Mapping[str, Producer]:
        """Asked for only where we may have some: it is off by default."""
        if not self.bcm.writes:
            return {}  # no public text has a call that tells of them
        if self.stack.site.bcm.metrics or self.journal(f"{metrics.KIND}."):
            return self.bcm.producers()
        try:
            return self.bcm.producers() if self.thorough else {}
        except Unreadable:
            return {}  # a BCM that cannot tell of them was never given any

    @cached_property
    def other_head(self) -> headfiles.Files:
        """The cmsh commands of the other head node."""
        return headfiles.remote(self.cluster, self.bcm, self.root)

    @property
    def heads(self) -> list[str]:
        """The head nodes whose files can be reached."""
        here = heads.own(self.root, self.cluster)
        return [name for name in heads.names(self.cluster) if name == here or name in self.other_head]

    def placed(self) -> list[places.Placement]:
        """Where the roles go."""
        return places.placements(self.stack.site, self.stack.roles(), self.cluster)

    def record_list(self) -> list[Record]:
        """The records of all categories."""
        return list(self.records.all().values())

    @cached_property
    def wanted(self) -> payload.Wanted:
        """What every software image is to hold, by `apply`."""
        return contents.of_images(self.stack, self.placed(), self.cluster, self.record_list())

    def image_trees(self, *, every: bool = False) -> list[Tree]:
        """The software images that `apply` looks into; with `every` also those it leaves alone for a rollout."""
        out = set() if every else contents.left_alone(self.record_list(), self.wanted)
        return [tree for tree in payload.image_trees(self.cluster, self.root) if tree.name not in out]


def _own_images(cluster: Cluster) -> bool:
    """Whether there are nodes whose image is not their category's: an agent may be a service of such a node itself."""
    return any(node.image and not node.is_head for node in cluster.nodes.values())


def _has_services_of_ours(cluster: Cluster) -> bool:
    return any(is_ours(service.revision) for there in cluster.services.values() for service in there.values())
