"""What would have to change: desired resources against what is there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bcm_jobstats.plan.model import ADOPT, CREATE, DELETE, UPDATE, Change, Conflict, Plan, fingerprint
from bcm_jobstats.plan.resource import Former, Found, Provider, Resource, State

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

    What is there and not ours is a conflict unless `adopt`; ours and no longer wanted is removed, or put back to
    its state in `originals` (address -> state) when it was adopted from an administrator. `again` are addresses
    that an unfinished run may have left half done: those with triggers act again.
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
    for kind, found in readings.items():
        changes += [
            _drop(f"{kind}.{name}", thing, (originals or {}).get(f"{kind}.{name}"))
            for name, thing in found.items()
            if thing.ours and f"{kind}.{name}" not in kept
        ]
    changes += _triggered(wanted, changes, readings, again)
    return Plan(tuple(in_order(changes, providers)), tuple(conflicts), fingerprint(readings, _states(wanted)))


def towards(providers: Sequence[Provider], targets: Mapping[str, Former]) -> Plan:
    """The plan that brings each address back to what it was. For rollback."""
    readings = read(providers, (), tuple(targets))
    changes = []
    for address, former in targets.items():
        kind, _, name = address.partition(".")
        thing = readings.get(kind, {}).get(name)
        change = _restore(address, thing.values if thing else None, former)
        if change:
            changes.append(change)
    states = {address: former.state for address, former in targets.items()}
    return Plan(tuple(in_order(changes, providers)), (), fingerprint(readings, states))


def _states(wanted: Sequence[Resource]) -> dict[str, State | None]:
    return {resource.address: resource.values for resource in wanted}


def in_order(changes: Sequence[Change], providers: Sequence[Provider]) -> list[Change]:
    """Changes in the order in which they are safe to make."""
    ranks = {p.kind: (p.rank, p.rank_down) for p in providers}
    return sorted(changes, key=lambda c: (ranks[c.kind][c.action == DELETE], c.address))


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
    if adopt:
        return Change(ADOPT, resource.address, found.values, after)
    return Conflict(resource.address, found.values, resource.values)


def _drop(address: str, thing: Found, original: State | None) -> Change:
    if original is None:
        return Change(DELETE, address, thing.values, None)
    return Change(UPDATE, address, thing.values, original, reason="given back as it was before it was adopted")


def _restore(address: str, current: State | None, former: Former) -> Change | None:
    target = former.state
    if current is None:
        return None if target is None else Change(CREATE, address, None, target)
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
