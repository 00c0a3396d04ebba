"""Plans for a deployment: what `apply`, `destroy` and `rollback` would do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Optional

from bcm_jobstats import imageplan
from bcm_jobstats.bcm import capabilities, heads
from bcm_jobstats.bcm.choice import CMSH
from bcm_jobstats.deployment import GENERIC_ROLE, SERVICES, Deployment
from bcm_jobstats.enable import headfiles, headunits, metrics, monitor, places
from bcm_jobstats.enable.headfiles import HeadFileProvider
from bcm_jobstats.enable.providers import overlay_provider, producer_provider, role_provider, service_provider
from bcm_jobstats.enable.resources import desired as enablement
from bcm_jobstats.imaging import contents, excludelist, payload, updates
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.imaging.update import UpdateProvider
from bcm_jobstats.monitoring import discovery
from bcm_jobstats.monitoring.providers import FolderProvider, FormerTargetsProvider, TargetsProvider
from bcm_jobstats.plan import planner
from bcm_jobstats.plan.model import Plan
from bcm_jobstats.plan.resource import Former, Provider, Resource
from bcm_jobstats.slurm import resources as slurm

ROLL_BACK = "First go back from the image that was built: bcm-jobstats image rollback CATEGORY."


def providers(where: Deployment, *, destroy: bool = False) -> list[Provider]:
    """All kinds of resources. Rank says when a kind is written, rank_down when it is removed: what runs on nodes
    goes first and comes last, the record on shared storage the other way round."""
    bcm, cluster = where.bcm, where.cluster
    trees = where.image_trees(every=destroy)
    shared = payload.shared_tree(where.root)
    wanted = () if destroy else [role.name for role in where.stack.roles()]
    holding = updates.images_of_categories(cluster, trees) if destroy else None
    return [
        role_provider(50, 0, bcm, cluster),
        service_provider(50, 0, bcm, cluster),
        overlay_provider(40, 5, bcm, cluster),
        TargetsProvider(15, 10, where.targets, wanted),
        FormerTargetsProvider(90, 95, shared, where.targets),
        *imageplan.in_images(where, trees),
        _exclude_lists(where, shared),
        UpdateProvider(30, 30, bcm, cluster, shared, holding=holding),
        HeadFileProvider(60, 15, bcm, cluster, where.root, there=where.other_head),
        HeadFileProvider(35, 15, bcm, cluster, where.root, there=where.other_head, of=headfiles.UNITS),
        producer_provider(55, 3, bcm, where.producers),
        imageplan.shared_hooks(where),
        FolderProvider(payload.DIRECTORY, 10, 100, [shared], types=("directory",)),
        *slurm.providers(bcm, cluster, where.root, where.originals),
    ]


def _exclude_lists(where: Deployment, shared: Tree) -> excludelist.ExcludeListProvider:
    """In force before nodes are updated, and for as long as they are."""
    reached = where.bcm.name == CMSH
    work = lambda: where.imagework  # noqa: E731 - without cmsh there is none
    return excludelist.ExcludeListProvider(25, 35, work, cluster=where.cluster, shared=shared, reached=reached)


def desired(where: Deployment) -> list[Resource]:
    """Everything that should exist."""
    placed = where.placed()
    held, shared = contents.held(where.record_list()), payload.shared_tree(where.root)
    resources = payload.desired(
        where.stack, where.wanted, where.cluster, where.image_trees(), shared=shared, supplied=where.supplied
    )
    resources += updates.desired(where.stack, resources, set(where.wanted), where.cluster, held)
    resources += updates.as_recorded(shared, held)
    if where.bcm.name == CMSH:
        resources += excludelist.desired(where.stack, where.cluster, _agents(where))
    resources += headfiles.desired(where.stack, where.heads, where.root)
    resources += slurm.desired(where.stack.site, where.cluster, where.root)
    if where.stack.site.bcm.metrics and where.bcm.writes:
        resources += metrics.desired(placed, where.cluster, generic=where.mode != SERVICES)
    generic = where.mode == GENERIC_ROLE
    resources += headunits.desired(where.stack.site, heads.names(where.cluster), generic=generic)
    if where.stack.monitored:
        return resources + _agents(where)
    return resources + enablement(where.stack.site, placed, where.cluster, generic=generic)


def _agents(where: Deployment) -> list[Resource]:
    """The agents of enable.mode role-monitor, as services."""
    return list(monitor.agents(where.stack, where.wanted, where.cluster))


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
        changes=monitor.stopped_first(plan.changes),
        notes=(
            *places.notes(where.cluster, placed),
            *monitor.notes(where.stack, placed, where.wanted, where.cluster, where.root),
            *headfiles.notes(where.stack, where.cluster, where.heads),
            *discovery.notes(where.stack.site, len({node.name for one in placed for node in one.nodes})),
            *monitor.left(where.root, where.cluster, plan.changes),
            *_by_hand(where, plan),
            *heads.notes(where.root),
            *slurm.notes(plan),
            *_sync_note(plan),
            *_in_place_note(where, plan),
            *_exclude_lists_note(where, excludelist.desired(where.stack, where.cluster, _agents(where))),
        ),
        problems=(
            *_unsupported(where),
            *places.problems(placed),
            *monitor.problems(where.stack, where.root),
            *contents.unfinished(where.record_list()),
            *payload.problems(where.stack, where.wanted, where.cluster, where.root, where.supplied),
            *slurm.problems(where.stack.site, where.cluster, where.root),
        ),
        about=imageplan.about(where, adopt="yes" if adopt else "no"),
    )


def for_destroy(where: Deployment) -> Plan:
    """What `destroy` would do."""
    plan = planner.make(providers(where, destroy=True), [], originals=where.originals.all())
    unreached = headfiles.notes(where.stack, where.cluster, where.heads)
    missing = payload.missing(where.cluster, where.root)
    notes = (
        *slurm.notes(plan),
        *_sync_note(plan),
        *missing,
        *unreached,
        *_rolled_out_note(where),
        *monitor.left(where.root, where.cluster, plan.changes, destroyed=True),
        *_exclude_lists_note(where),
    )
    return replace(plan, purpose="destroy", notes=notes, about=imageplan.about(where))


def for_rollback(where: Deployment, number: Optional[int], *, adopt: bool = False) -> Plan:
    """What `rollback` would do: back to before generation `number`, or before the last one."""
    kinds = providers(where, destroy=True)
    targets = where.generations.back_to_before(number)
    # Registrations are the nodes' own: nobody puts them back, and they go when nothing enables them any more.
    targets = {address: former for address, former in targets.items() if "targets." not in address[:16]}
    plan = planner.towards(kinds, targets, adopt=adopt)
    if not _enabled_after(plan, kinds):
        registered = {
            f"targets.{name}": Former(None) for one in kinds if one.kind == "targets" for name in one.read(())
        }
        plan = planner.towards(kinds, {**targets, **registered}, adopt=adopt)
    last = max(generation.number for generation in where.generations.all())
    about = imageplan.about(where, generation=str(number or last), adopt="yes" if adopt else "no")
    notes = (*slurm.notes(plan), *_sync_note(plan), *monitor.left(where.root, where.cluster, plan.changes))
    changes, problems = monitor.stopped_first(plan.changes), tuple(_still_linked(where, plan))
    return replace(plan, purpose="rollback", changes=changes, notes=notes, problems=problems, about=about)


def _still_linked(where: Deployment, plan: Plan) -> Iterator[str]:
    """Hooks that would go although an image that was built since has links to them: BCM's prolog would fail."""
    gone = {change.name.partition(":")[2] for change in plan.changes if change.kind == "hook" and change.after is None}
    after = {change.address: change.after or {} for change in plan.changes}
    for tree in where.image_trees(every=True) if gone else ():
        for path, entry in Manifest(tree.root, tree.manifest).entries.items():
            target = after.get(f"file.{tree.name}:{path}", entry).get("target")
            if target in gone:
                yield f"hook {target} would go, and software image {tree.name} has a link to it\n  {ROLL_BACK}"
                return


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


def _sync_note(plan: Plan) -> Iterator[str]:
    categories = [change.name for change in plan.changes if change.kind == "imageupdate"]
    if categories:
        some = ", ".join(categories)
        yield f"imageupdate brings the running nodes of {some} to their image: whatever else differs is synced too"


def _exclude_lists_note(where: Deployment, wanted: Iterable[Resource] = ()) -> Iterator[str]:
    if where.bcm.name != CMSH:
        yield from excludelist.notes(list(wanted), payload.shared_tree(where.root), where.bcm.name)


def _in_place_note(where: Deployment, plan: Plan) -> Iterator[str]:
    used = {where.cluster.image_of(node) for node in where.cluster.nodes.values() if not node.is_head}
    images = {change.name.partition(":")[0] for change in plan.changes if change.kind in updates.KINDS}
    some = ", ".join(sorted(images & used))
    if some:
        yield f"{some} is changed in place; image build and image rollout do it by a clone and in waves"


def _rolled_out_note(where: Deployment) -> Iterator[str]:
    for record in where.record_list():
        if record.source != record.image:
            back = f"bcm-jobstats image rollback {record.category}"
            yield f"image {record.image}, made for category {record.category}, stays: to have it gone, first {back}"
