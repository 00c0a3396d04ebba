"""One deployment: site, definitions and cluster put together into resources, providers and plans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Optional

from bcm_jobstats.bcm import capabilities, heads
from bcm_jobstats.bcm.choice import AUTO, Access, Choice, choose
from bcm_jobstats.bcm.entities import Cluster, Producer
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.enable import headfiles, metrics, places
from bcm_jobstats.enable.headfiles import HeadFileProvider
from bcm_jobstats.enable.marks import is_ours
from bcm_jobstats.enable.providers import overlay_provider, producer_provider, role_provider, service_provider
from bcm_jobstats.enable.resources import desired as enablement
from bcm_jobstats.imaging import payload
from bcm_jobstats.imaging.lines import LineProvider
from bcm_jobstats.imaging.manifest import clear_leftovers
from bcm_jobstats.imaging.originals import SharedOriginals
from bcm_jobstats.imaging.trees import TreeProvider
from bcm_jobstats.imaging.update import UpdateProvider
from bcm_jobstats.monitoring.targets import FormerTargetsProvider, Targets, TargetsProvider
from bcm_jobstats.plan import planner
from bcm_jobstats.plan.generations import Generations
from bcm_jobstats.plan.model import Plan
from bcm_jobstats.plan.resource import Former, Provider, Resource
from bcm_jobstats.site import Site, SiteError
from bcm_jobstats.stack import Stack, load, load_definitions

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
    _assigns: bool = False

    @cached_property
    def stack(self) -> Stack:
        """The checked site and definitions; raises SiteError."""
        try:
            return Stack(*load(self.site_file, self.root))
        except SiteError:
            if self.lenient:
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
        return choose(self.way, self.access)

    @property
    def bcm(self) -> Bcm:
        """The way to BCM."""
        return self.choice.bcm

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster as it was when it was first asked for."""
        wanted = places.followed(self.stack.site, self.stack.roles()) | self._own_roles()
        # No role tells which single nodes hold services of ours, so all are asked.
        every_node = self.stack.site.enable.mode == SERVICES or bool(self._journal("service.node/"))
        cluster = self.bcm.read(wanted, every_node=every_node)
        if self._mode_on(cluster) == SERVICES and not every_node:
            return self.bcm.read(wanted, every_node=True)
        return cluster

    def _own_roles(self) -> set[str]:
        """Generic roles that single nodes may carry by our doing, also those that the site no longer wants."""
        names = {*self.stack.definitions.roles, *self.stack.site.roles}
        before = {address.rpartition("/")[2] for address in self._journal("role.node/")}
        return {f"generic::{name}" for name in names} | before

    def _journal(self, start: str) -> list[str]:
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

    @property
    def lock(self) -> Path:
        """The lock file of this head node."""
        return self.root / STATE / "lock"

    def refresh(self) -> None:
        """Forget what was read from the cluster."""
        self.__dict__.pop("cluster", None)
        self.__dict__.pop("_producers", None)

    def tidy(self) -> None:
        """Remove what a killed run left half made or half removed; the nodes would get it with the next update."""
        for tree in (*payload.image_trees(self.cluster, self.root), payload.shared_tree(self.root)):
            clear_leftovers(tree.root, tree.manifest)
        headfiles.clear_leftovers(self.root)

    def providers(self, *, destroy: bool = False) -> list[Provider]:
        """All kinds of resources. Rank says when a kind is written, rank_down when it is removed: what runs on nodes
        goes first and comes last, the record on shared storage the other way round."""
        bcm, cluster = self.bcm, self.cluster
        trees = payload.image_trees(cluster, self.root)
        shared = payload.shared_tree(self.root)
        wanted = () if destroy else [role.name for role in self.stack.roles()]
        return [
            role_provider(50, 0, bcm, cluster),
            service_provider(50, 0, bcm, cluster),
            overlay_provider(40, 5, bcm, cluster),
            TargetsProvider(15, 10, self.targets, wanted),
            FormerTargetsProvider(90, 95, shared, self.targets),
            TreeProvider("file", 20, 20, trees),
            LineProvider(20, 20, trees),
            UpdateProvider(30, 30, bcm, cluster, shared),
            HeadFileProvider(60, 15, bcm, cluster, self.root),
            producer_provider(55, 3, bcm, self._producers),
            TreeProvider(payload.DIRECTORY, 10, 100, [shared]),
        ]

    @cached_property
    def _producers(self) -> Mapping[str, Producer]:
        """Asked for only where we may have some: it is off by default."""
        wanted = self.stack.site.bcm.metrics or self._journal(f"{metrics.KIND}.")
        return self.bcm.producers() if wanted else {}

    def _heads(self) -> list[str]:
        return headfiles.reachable(self.cluster, self.bcm, self.root)

    def placed(self) -> list[places.Placement]:
        """Where the roles go."""
        return places.placements(self.stack.site, self.stack.roles(), self.cluster)

    def desired(self) -> list[Resource]:
        """Everything that should exist."""
        placed = self.placed()
        trees, shared = payload.image_trees(self.cluster, self.root), payload.shared_tree(self.root)
        resources = payload.desired(self.stack, placed, self.cluster, trees, shared)
        resources += headfiles.desired(self.stack, self._heads())
        resources += metrics.desired(placed) if self.stack.site.bcm.metrics else ()
        return resources + enablement(self.stack.site, placed, self.cluster, generic=self.mode == GENERIC_ROLE)

    def plan(self, *, adopt: bool = False) -> Plan:
        """What `apply` would do."""
        plan = planner.make(
            self.providers(),
            self.desired(),
            adopt=adopt,
            originals=self.originals.all(),
            again=self.generations.unfinished(),
        )
        placed = self.placed()
        return replace(
            plan,
            notes=(
                *places.notes(self.cluster, placed),
                *headfiles.notes(self.stack, self.cluster, self._heads()),
                *self._by_hand(plan),
                *heads.notes(self.root),
                *_sync_note(plan),
            ),
            problems=(
                *self._unsupported(),
                *places.problems(placed),
                *payload.problems(self.stack, placed, self.cluster, self.root),
            ),
            about=self._about(adopt="yes" if adopt else "no"),
        )

    def plan_destroy(self) -> Plan:
        """What `destroy` would do."""
        plan = planner.make(self.providers(destroy=True), [], originals=self.originals.all())
        notes = (*_sync_note(plan), *payload.missing(self.cluster, self.root))
        return replace(plan, purpose="destroy", notes=notes, about=self._about())

    def plan_rollback(self, number: Optional[int], *, adopt: bool = False) -> Plan:
        """What `rollback` would do: back to before generation `number`, or before the last one."""
        providers = self.providers(destroy=True)
        targets = self.generations.back_to_before(number)
        # Registrations are the nodes' own: nobody puts them back, and they go when nothing enables them any more.
        targets = {address: former for address, former in targets.items() if "targets." not in address[:16]}
        plan = planner.towards(providers, targets, adopt=adopt)
        if not self._enabled_after(plan, providers):
            registered = {f"targets.{role}": Former(None) for _, role in self.targets.registered()}
            plan = planner.towards(providers, {**targets, **registered}, adopt=adopt)
        last = max(generation.number for generation in self.generations.all())
        about = self._about(generation=str(number or last), adopt="yes" if adopt else "no")
        return replace(plan, purpose="rollback", notes=tuple(_sync_note(plan)), about=about)

    def _by_hand(self, plan: Plan) -> Iterator[str]:
        """Roles that nothing here can assign: an administrator does it in Base View (bcm-facts §13 #1)."""
        new = [change.name for change in plan.changes if change.kind == "role" and change.before is None]
        if new and not capabilities.can_assign_generic_role(self.bcm, self.cluster):
            yield f"{self.bcm.name} cannot assign {', '.join(new)}: apply asks you to add it in Base View, and goes on"
        if not self.bcm.writes:
            yield f"BCM can only be read from here ({self.choice.reason})"
        elif new and self.bcm.helper:
            yield self.bcm.helper

    def _unsupported(self) -> Iterator[str]:
        for role in self.stack.roles() if self.mode == SERVICES else ():
            if role.settings.attach.form == "manual":
                where = self.stack.site.where(f"roles.{role.name}.attach")
                yield f"{where}: manual needs a generic role, and services belong to categories and nodes\n  Name them."

    def _enabled_after(self, plan: Plan, providers: list[Provider]) -> bool:
        """Whether a role or service of ours is still there once `plan` was carried out."""
        there = {
            f"{provider.kind}.{name}"
            for provider in providers
            if provider.kind in {"role", "service"}
            for name, found in provider.read(()).items()
            if found.ours
        }
        for change in plan.changes:
            if change.kind in {"role", "service"}:
                (there.discard if change.after is None else there.add)(change.address)
        return bool(there)

    def _about(self, **more: str) -> dict[str, str]:
        return {"site": str(self.site_file), "bcm": self.cluster.version, "cluster": self.stack.site.cluster, **more}


def _has_services_of_ours(cluster: Cluster) -> bool:
    return any(is_ours(service.revision) for there in cluster.services.values() for service in there.values())


def _sync_note(plan: Plan) -> Iterator[str]:
    categories = [change.name for change in plan.changes if change.kind == "imageupdate"]
    if categories:
        some = ", ".join(categories)
        yield f"imageupdate brings the running nodes of {some} to their image: whatever else differs is synced too"
