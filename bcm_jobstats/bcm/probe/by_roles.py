"""Questions to cmsh about roles, their services, and overlays."""

from __future__ import annotations

from bcm_jobstats.bcm import capabilities as doubts
from bcm_jobstats.bcm.capabilities import Capability, somewhere
from bcm_jobstats.bcm.cmsh import answers, reading, scripts
from bcm_jobstats.bcm.cmsh.scripts import FULL_NAME, AssignForm
from bcm_jobstats.bcm.entities import CATEGORY, GENERIC, NODE, OVERLAY, Cluster, Place
from bcm_jobstats.bcm.errors import Unreadable
from bcm_jobstats.bcm.port import PROBE_ROLE
from bcm_jobstats.bcm.probe.answer import UNKNOWN, Answer, Question, first, tables
from bcm_jobstats.bcm.probe.prober import Prober


def _place(prober: Prober) -> Place:
    # Every BCM has this category, so that an answer from there can be replayed word for word.
    default = Place(CATEGORY, "default")
    where = default if default.name in prober.cluster.categories else somewhere(prober.cluster)
    if where is None:
        raise Unreadable("BCM", "has no overlay or category that this could be tried on", "")
    return where


def _assign(prober: Prober) -> Answer:
    there = scripts.at(_place(prober), "roles")
    text = prober.ask([*there, "help assign"], verbatim=True).text
    for form in (FULL_NAME, *scripts.assign_forms(text)):
        mode = there[0]
        listed = prober.ask(
            [*there, form.command(PROBE_ROLE), "home", *there, reading.LIST_NAMES, "home", mode, "refresh"]
        )
        if any(row.get("name") == PROBE_ROLE for table in tables(listed) for row in table):
            return Answer(_form(form), "made the role in a session that dropped it again")
    return Answer("none", f"help assign says: {first(text)}")


def _form(form: AssignForm) -> str:
    return f"assign {form.type} NAME" if form.type else "assign generic::NAME"


def _generic(cluster: Cluster) -> tuple[Place, str]:
    for where, roles in cluster.roles.items():
        for name in roles:
            if name.lower().startswith(GENERIC) and scripts.can_be_sent(where.name):
                return where, name
    raise Unreadable("BCM", "has no generic role yet that could be looked at", "")


def _configuration_types(prober: Prober) -> Answer:
    where, role = _generic(prober.cluster)
    text = prober.ask([*scripts.at(where, "roles"), scripts.command("use", role), "configurations", "help add"]).text
    return Answer("recorded", first(text))


def _free_revision(prober: Prober) -> Answer:
    marked = [o.name for o in prober.cluster.overlays.values() if o.revision.startswith("bcm-jobstats")]
    marked += [r.name for roles in prober.cluster.generic.values() for r in roles.values() if "bcm-job" in r.revision]
    if not marked:
        return Answer(UNKNOWN, "nothing of ours is there yet")
    return Answer("yes", f"{marked[0]} carries our mark")


def _role_services(prober: Prober) -> Answer:
    found = _services_of_roles(prober)
    if not found:
        return Answer(UNKNOWN, "no node lists a service that a generic role brings")
    node, rows = found
    on = all(row.get("monitored") == "yes" and row.get("autostart") == "yes" for row in rows)
    return Answer("on" if on else "off", f"{', '.join(row['service'] for row in rows)} on {node}")


def _role_services_are_listed(prober: Prober) -> Answer:
    if not any(role.services for roles in prober.cluster.generic.values() for role in roles.values()):
        return Answer(UNKNOWN, "no generic role brings a service yet")
    return Answer("yes" if _services_of_roles(prober) else "no", "services; list of a node with such a role")


def _services_of_roles(prober: Prober) -> tuple[str, list[answers.Row]] | None:
    for where, roles in prober.cluster.generic.items():
        names = {name for role in roles.values() for name in role.services}
        members = [node.name for node in prober.cluster.members(where) if scripts.can_be_sent(node.name)]
        if names and members:
            listed = tables(prober.ask([*scripts.at(Place(NODE, members[0]), "services"), reading.LIST_SERVICES]))
            rows = [row for table in listed for row in table if row.get("service") in names]
            if rows:
                return members[0], rows
    return None


def _equal_priority(prober: Prober) -> Answer:
    cluster = prober.cluster
    held: dict[tuple[str, int], list[str]] = {}
    for where, roles in cluster.roles.items():
        if where.kind == OVERLAY and where.name in cluster.overlays:
            for role in roles:
                held.setdefault((role, cluster.overlays[where.name].priority), []).append(where.name)
    for (role, priority), names in held.items():
        both = [{node.name for node in cluster.members(Place(OVERLAY, name))} for name in names]
        shared = sorted(set.intersection(*both)) if len(both) > 1 else []
        if shared and scripts.can_be_sent(shared[0]):
            text = prober.ask([*scripts.at(Place(NODE, shared[0]), "roles"), "list -p"]).text
            line = next((line.strip() for line in text.splitlines() if line.strip().endswith(role)), "nothing")
            return Answer("recorded", f"{' and '.join(names)} at {priority}: {line}")
    return Answer(UNKNOWN, "no two overlays of one priority give a node the same role")


def _customizations(prober: Prober) -> Answer:
    where = next((Place(OVERLAY, name) for name in prober.cluster.overlays if scripts.can_be_sent(name)), None)
    if where is None:
        return Answer(UNKNOWN, "there is no overlay")
    text = prober.ask([*scripts.at(where, "customizations"), "help add"], verbatim=True).text
    return Answer("recorded", first(text))


QUESTIONS: dict[Capability, Question] = {
    doubts.ASSIGN_GENERIC_ROLE: _assign,
    doubts.CONFIGURATION_TYPES: _configuration_types,
    doubts.CUSTOMIZATIONS: _customizations,
    doubts.FREE_REVISION: _free_revision,
    doubts.ROLE_SERVICES: _role_services,
    doubts.EQUAL_PRIORITY: _equal_priority,
    doubts.ROLE_SERVICES_ARE_LISTED: _role_services_are_listed,
}
