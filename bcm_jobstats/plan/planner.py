"""What would have to change: desired resources against what is there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bcm_jobstats.plan.model import ADOPT, CREATE, DELETE, UPDATE, Change, Conflict, Plan, fingerprint
from bcm_jobstats.plan.resource import Former, Found, Provider, Resource, State

AFTER_CREATION = 110
"""Rank of removals in a move, less the kind's own: after all creations, in reverse order."""
Readings = Mapping[str, Mapping[str, Found]]
"""kind -> name -> what was found."""


def read(providers: Sequence[Provider], wanted: Sequence[Resource], names: Sequence[str] = ()) -> Readings:
    """Read everything a plan is made from: the wanted resources, what carries our mark, and the addresses `names`."""
    readings = {}
    for provider in providers:
        mine = {resource.name for resource in wanted if resource.kind == provider.kind}
        mine |= {name.partition(".")[2] for name in names if name.partition(".")[0] == provider.kind}
        readings[provider.kind] = dict(provider.read(mine))
    return readings


def make(
    providers: Sequence[Provider],
    wanted: Sequence[Resource],
    *,
    adopt: bool = False,
    originals: Mapping[str, State] | None = None,
    again: Collection[str] = (),
) -> Plan:
    """The plan from what is there to `wanted`.

    What is there and not ours is a conflict unless `adopt`, or unless it is a setting; ours and no longer wanted is
    removed, or put back to its state in `originals` (address -> state) when it was adopted from an administrator.
    `again` are addresses that an unfinished run may have left half done: those with triggers act again.
    """
    readings = read(providers, wanted)
    changes: list[Change] = []
    conflicts: list[Conflict] = []
    for resource in wanted:
        outcome = _compare(resource, readings[resource.kind].get(resource.name), adopt=adopt)
        if isinstance(outcome, Conflict):
            conflicts.append(outcome)
        elif outcome:
            changes.append(outcome)
    kept = {resource.address for resource in wanted}
    for provider in providers:
        changes += [
            _drop(provider, name, thing, (originals or {}).get(f"{provider.kind}.{name}"))
            for name, thing in readings[provider.kind].items()
            if thing.ours and f"{provider.kind}.{name}" not in kept
        ]
    changes += _triggered(wanted, changes, readings, again)
    return Plan(tuple(in_order(changes, providers)), tuple(conflicts), fingerprint(readings, _states(wanted)))


def towards(providers: Sequence[Provider], targets: Mapping[str, Former], *, adopt: bool = False) -> Plan:
    """The plan that brings each address back to what it was. For rollback.

    What stands there meanwhile and is not ours stays, or is a conflict (unless `adopt`) where ours should come back.
    """
    readings = read(providers, (), tuple(targets))
    changes: list[Change] = []
    conflicts: list[Conflict] = []
    for address, former in targets.items():
        kind, _, name = address.partition(".")
        outcome = _restore(address, readings.get(kind, {}).get(name), former, adopt=adopt)
        if isinstance(outcome, Conflict):
            conflicts.append(outcome)
        elif outcome:
            changes.append(outcome)
    states = {address: former.state for address, former in targets.items()}
    return Plan(tuple(in_order(changes, providers)), tuple(conflicts), fingerprint(readings, states))


def _states(wanted: Sequence[Resource]) -> dict[str, State | None]:
    return {resource.address: resource.values for resource in wanted}


def in_order(changes: Sequence[Change], providers: Sequence[Provider]) -> list[Change]:
    """Changes in the order in which they are safe to make.

    What goes first when it is taken away (its rank_down is the lower) runs on nodes. When the plan makes something of
    that sort too, it is a move: the new stands before the old goes.
    """
    runs = {provider.kind: provider.rank for provider in providers if provider.rank_down < provider.rank}
    moves = any(change.action == CREATE and change.kind in runs for change in changes)
    up = {provider.kind: provider.rank for provider in providers}
    down = {provider.kind: provider.rank_down for provider in providers}
    if moves:
        down.update({kind: AFTER_CREATION - rank for kind, rank in runs.items()})
    return sorted(changes, key=lambda c: ((down if c.after is None else up)[c.kind], c.address))


def _compare(resource: Resource, found: Found | None, *, adopt: bool) -> Change | Conflict | None:
    if found is None:
        return Change(CREATE, resource.address, None, {**resource.initial, **resource.values}, mark=resource.mark)
    differing = {key for key, value in resource.values.items() if found.values.get(key) != value}
    differing |= found.values.keys() - resource.values.keys() if resource.whole else set()
    after = resource.values if resource.whole else {**found.values, **resource.values}
    if found.ours:
        return Change(UPDATE, resource.address, found.values, after) if differing else None
    # The mark always differs on a thing that is not ours; when the rest is as wanted there is nothing to do.
    if not differing - {resource.mark}:
        return None
    if adopt or found.setting:
        return Change(ADOPT, resource.address, found.values, after)
    return Conflict(resource.address, found.values, resource.values)


def _drop(provider: Provider, name: str, thing: Found, original: State | None) -> Change:
    address = f"{provider.kind}.{name}"
    if original is not None:
        return Change(UPDATE, address, thing.values, original, reason="given back as it was before it was adopted")
    left = provider.leaves(name, thing.values)
    if left is not None:
        return Change(UPDATE, address, thing.values, left, reason="let go: it holds what an administrator put there")
    return Change(DELETE, address, thing.values, None)


def _restore(address: str, found: Found | None, former: Former, *, adopt: bool) -> Change | Conflict | None:
    target = former.state
    if found is None:
        return None if target is None else Change(CREATE, address, None, target)
    if not found.ours:
        if target is None or found.values == target:
            return None
        taken = adopt or found.setting
        return Change(ADOPT, address, found.values, target) if taken else Conflict(address, found.values, target)
    current = found.values
    if target is None:
        return Change(DELETE, address, current, None)
    # Only what our runs changed: the rest may have been changed by an administrator since.
    after = {key: value for key, value in current.items() if key not in former.fields}
    after.update({key: target[key] for key in former.fields if key in target})
    if after != current:
        return Change(UPDATE, address, current, after)
    return Change(UPDATE, address, current, current, reason="acts again") if former.acted else None


def _triggered(
    wanted: Sequence[Resource], changes: Sequence[Change], readings: Readings, again: Collection[str]
) -> list[Change]:
    planned = {change.address for change in changes}
    acting = []
    for resource in wanted:
        if resource.address in planned or not resource.triggers:
            continue
        cause = next((c.address for c in changes if c.address.startswith(resource.triggers)), None)
        reason = f"{cause} changes" if cause else "an earlier run did not finish"
        if cause or resource.address in again:
            state = readings[resource.kind][resource.name].values
            acting.append(Change(UPDATE, resource.address, state, state, reason=reason))
    return acting
