"""Plans for a deployment: what `apply`, `destroy` and `rollback` would do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Optional

from bcm_jobstats.bcm import capabilities, heads
from bcm_jobstats.deployment import GENERIC_ROLE, SERVICES, Deployment
from bcm_jobstats.enable import headfiles, metrics, places
from bcm_jobstats.enable.headfiles import HeadFileProvider
from bcm_jobstats.enable.providers import overlay_provider, producer_provider, role_provider, service_provider
from bcm_jobstats.enable.resources import desired as enablement
from bcm_jobstats.imaging import payload
from bcm_jobstats.imaging.lines import LineProvider
from bcm_jobstats.imaging.trees import TreeProvider
from bcm_jobstats.imaging.update import UpdateProvider
from bcm_jobstats.monitoring.targets import FormerTargetsProvider, TargetsProvider
from bcm_jobstats.plan import planner
from bcm_jobstats.plan.model import Plan
from bcm_jobstats.plan.resource import Former, Provider, Resource
from bcm_jobstats.slurm import resources as slurm


def providers(where: Deployment, *, destroy: bool = False) -> list[Provider]:
    """All kinds of resources. Rank says when a kind is written, rank_down when it is removed: what runs on nodes
    goes first and comes last, the record on shared storage the other way round."""
    bcm, cluster = where.bcm, where.cluster
    trees = payload.image_trees(cluster, where.root)
    shared = payload.shared_tree(where.root)
    wanted = () if destroy else [role.name for role in where.stack.roles()]
    return [
        role_provider(50, 0, bcm, cluster),
        service_provider(50, 0, bcm, cluster),
        overlay_provider(40, 5, bcm, cluster),
        TargetsProvider(15, 10, where.targets, wanted),
        FormerTargetsProvider(90, 95, shared, where.targets),
        TreeProvider("file", 20, 20, trees),
        LineProvider(20, 20, trees),
        UpdateProvider(30, 30, bcm, cluster, shared),
        HeadFileProvider(60, 15, bcm, cluster, where.root, there=where.other_head),
        producer_provider(55, 3, bcm, where.producers),
        TreeProvider(payload.HOOK, 12, 40, [shared], types=("file",)),
        TreeProvider(payload.DIRECTORY, 10, 100, [shared], types=("directory",)),
        *slurm.providers(bcm, cluster, where.root, where.originals),
    ]


def desired(where: Deployment) -> list[Resource]:
    """Everything that should exist."""
    placed, generic = where.placed(), where.mode == GENERIC_ROLE
    trees, shared = payload.image_trees(where.cluster, where.root), payload.shared_tree(where.root)
    resources = payload.desired(where.stack, placed, where.cluster, trees, shared)
    resources += headfiles.desired(where.stack, where.heads)
    resources += slurm.desired(where.stack.site, where.cluster, where.root)
    if where.stack.site.bcm.metrics and where.bcm.writes:
        resources += metrics.desired(placed, where.cluster, generic=generic)
    return resources + enablement(where.stack.site, placed, where.cluster, generic=generic)


def for_apply(where: Deployment, *, adopt: bool = False) -> Plan:
    """What `apply` would do."""
    plan = planner.make(
        providers(where),
        desired(where),
        adopt=adopt,
        originals=where.originals.all(),
        again=where.generations.unfinished(),
    )
    placed = where.placed()
    return replace(
        plan,
        notes=(
            *places.notes(where.cluster, placed),
            *headfiles.notes(where.stack, where.cluster, where.heads),
            *_by_hand(where, plan),
            *heads.notes(where.root),
            *slurm.notes(plan),
            *_sync_note(plan),
        ),
        problems=(
            *_unsupported(where),
            *places.problems(placed),
            *payload.problems(where.stack, placed, where.cluster, where.root),
            *slurm.problems(where.stack.site, where.cluster, where.root),
        ),
        about=_about(where, adopt="yes" if adopt else "no"),
    )


def for_destroy(where: Deployment) -> Plan:
    """What `destroy` would do."""
    plan = planner.make(providers(where, destroy=True), [], originals=where.originals.all())
    unreached = headfiles.notes(where.stack, where.cluster, where.heads)
    notes = (*slurm.notes(plan), *_sync_note(plan), *payload.missing(where.cluster, where.root), *unreached)
    return replace(plan, purpose="destroy", notes=notes, about=_about(where))


def for_rollback(where: Deployment, number: Optional[int], *, adopt: bool = False) -> Plan:
    """What `rollback` would do: back to before generation `number`, or before the last one."""
    kinds = providers(where, destroy=True)
    targets = where.generations.back_to_before(number)
    # Registrations are the nodes' own: nobody puts them back, and they go when nothing enables them any more.
    targets = {address: former for address, former in targets.items() if "targets." not in address[:16]}
    plan = planner.towards(kinds, targets, adopt=adopt)
    if not _enabled_after(plan, kinds):
        registered = {f"targets.{role}": Former(None) for _, role in where.targets.registered()}
        plan = planner.towards(kinds, {**targets, **registered}, adopt=adopt)
    last = max(generation.number for generation in where.generations.all())
    about = _about(where, generation=str(number or last), adopt="yes" if adopt else "no")
    return replace(plan, purpose="rollback", notes=(*slurm.notes(plan), *_sync_note(plan)), about=about)


def _by_hand(where: Deployment, plan: Plan) -> Iterator[str]:
    """Roles that nothing here can assign: an administrator does it in Base View (bcm-facts §13 #1)."""
    new = [change.name for change in plan.changes if change.kind == "role" and change.before is None]
    if new and not capabilities.can_assign_generic_role(where.bcm, where.cluster):
        yield f"{where.bcm.name} cannot assign {', '.join(new)}: apply asks you to add it in Base View, and goes on"
    if not where.bcm.writes:
        yield f"BCM can only be read from here ({where.choice.reason})"
        if new and where.stack.site.enable.mode == "auto":
            yield "whether BCM takes a new generic role cannot be tried this way: that it does is assumed"
        if where.stack.site.bcm.metrics:
            yield "what BCM samples (bcm.metrics) cannot be seen this way: it is left out"
    elif new and where.bcm.helper:
        yield where.bcm.helper


def _unsupported(where: Deployment) -> Iterator[str]:
    for role in where.stack.roles() if where.mode == SERVICES else ():
        if role.settings.attach.form == "manual":
            setting = where.stack.site.where(f"roles.{role.name}.attach")
            yield f"{setting}: manual needs a generic role, and services belong to categories and nodes\n  Name them."


def _enabled_after(plan: Plan, kinds: list[Provider]) -> bool:
    """Whether a role or service of ours is still there once `plan` was carried out."""
    there = {
        f"{provider.kind}.{name}"
        for provider in kinds
        if provider.kind in {"role", "service"}
        for name, found in provider.read(()).items()
        if found.ours
    }
    for change in plan.changes:
        if change.kind in {"role", "service"}:
            (there.discard if change.after is None else there.add)(change.address)
    return bool(there)


def _about(where: Deployment, **more: str) -> dict[str, str]:
    return {"site": str(where.site_file), "bcm": where.cluster.version, "cluster": where.stack.site.cluster, **more}


def _sync_note(plan: Plan) -> Iterator[str]:
    categories = [change.name for change in plan.changes if change.kind == "imageupdate"]
    if categories:
        some = ", ".join(categories)
        yield f"imageupdate brings the running nodes of {some} to their image: whatever else differs is synced too"
