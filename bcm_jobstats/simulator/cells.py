"""What the properties of an object look like in `list`, `show` and `get` (bcm-facts §1.5, §1.7)."""

from __future__ import annotations

from collections import Counter
from typing import Callable

from bcm_jobstats.simulator import noderanges
from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.messages import no_property
from bcm_jobstats.simulator.otherkinds import FILTER, FILTER_KINDS
from bcm_jobstats.simulator.places import is_role_service
from bcm_jobstats.simulator.schema import BCM10, COMPUTED, LINES, LONG, NODES, Field, Submode
from bcm_jobstats.simulator.session import Session

Cell = Callable[[Entity], str]
WLM_COLUMNS = {"servers": "slurmserver", "submits": "slurmsubmit", "clients": "slurmclient"}


def list_cell(session: Session, field: Field) -> Cell:
    """How `list` prints a field: lists joined with commas, node lists in dot form."""
    if field.type == COMPUTED:
        return computed(session, field.name)
    name, default = field.name, field.default
    if field.type == NODES:
        return lambda entity: ",".join(noderanges.collapse(entity.values.get(name, ())))
    if field.many:
        return lambda entity: ",".join(entity.values.get(name, default))
    return lambda entity: str(entity.values.get(name, default))


def submode_cell(submode: Submode) -> Cell:
    """How `list` and `show` print a submode."""
    if submode.told == "text":
        return lambda entity: "<submode>"
    if submode.told == "names":
        return lambda entity: ",".join(sorted(entity.entries(submode.name)))
    return lambda entity: f"<{len(entity.entries(submode.name))} in submode>"


def show_cell(session: Session, field: Field) -> Cell:
    """How `show` prints a field: a long text as its size (``<645B>``)."""
    if field.type == LONG:
        return lambda entity: _size(str(entity.values.get(field.name, field.default)))
    plain = list_cell(session, field)
    return lambda entity: inherited(session, entity, field) or plain(entity)


def _size(text: str) -> str:
    return f"<{len(text.encode())}B>" if text else ""


def inherited(session: Session, entity: Entity, field: Field) -> str:
    """A value that a node has from its category, with the category behind it in parentheses (bcm-facts §1.5)."""
    if entity.kind != "PhysicalNode" or field.name != "softwareimage" or entity.values.get("softwareimage"):
        return ""
    name = str(entity.values.get("category", ""))
    category = session.drafts.get("category", name)
    image = str(category.values.get("softwareimage", "")) if category else ""
    return f"{image} ({name})" if image else ""


def get_text(session: Session, entity: Entity, name: str) -> str:
    """What `get` prints: the value alone, several separated by blanks."""
    schema = session.places.schema(entity)
    submode, field = schema.submodes.get(name), schema.fields.get(name)
    if submode is not None:
        return " ".join(sorted(entity.entries(name))) if name == "roles" else submode_cell(submode)(entity)
    if field is None:
        if name in entity.extra:
            return entity.extra[name]
        raise no_property(name)
    if field.type == LINES:
        return "\n".join(schema.value(entity, name))
    if field.many:
        names = list(schema.value(entity, name))
        ranges = field.type == NODES and session.daemon.switches["get_nodes"] == "ranges"
        return " ".join(noderanges.collapse(names) if ranges else names)
    return inherited(session, entity, field) or list_cell(session, field)(entity)


def computed(session: Session, name: str) -> Cell:
    """The fields that nobody sets."""
    simple: dict[str, Cell] = {
        "filter": _filter_cell,
        "belongstorole": lambda entity: "yes" if is_role_service(entity) else "no",
        "originalimage": lambda entity: "",
        "defaultgateway": lambda entity: _gateway(session),
        "lines": lambda entity: str(len(entity.values.get("excludelist", ()))),
        "type": lambda entity: _type(session, entity),
        "status": lambda entity: node_status(session, str(entity.values["hostname"])),
    }
    if name in simple:
        return simple[name]
    if name == "nodes":
        return _node_counter(session)
    return _wlm_nodes(session, WLM_COLUMNS[name])


def _type(session: Session, entity: Entity) -> str:
    if entity.kind == "SlurmWlmCluster":
        return "slurm" if session.daemon.profile == BCM10 else "Slurm"
    return entity.kind[: -len(FILTER)] if entity.kind in FILTER_KINDS else entity.kind


def _filter_cell(entity: Entity) -> str:
    """What a filter includes, as the list of filters tells it."""
    return ",".join(
        text
        for name, value in sorted(entity.values.items())
        if name not in ("name", "revision", "filteroperation")
        for text in (noderanges.collapse(value) if isinstance(value, tuple) else [value])
    )


def _gateway(session: Session) -> str:
    head = session.daemon.state.table("device")[session.daemon.head]
    return f"{head.values.get('ip', '')} (network: internalnet)"


def node_status(session: Session, node: str) -> str:
    """The state of a node, and whether it has to be restarted."""
    daemon = session.daemon
    remarks = daemon.nodes.shown.get(node, ("", ""))[1]
    before = remarks.startswith(
        "("
    )  # ``(hostname changed) restart-required``, ``restart-required, health check failed``
    flag = "restart-required" if node in daemon.nodes.restart_required else ""
    told = " ".join((remarks, flag)) if before else ", ".join(text for text in (flag, remarks) if text)
    return f"{daemon.nodes.status(node)} {told}".rstrip()


def _node_counter(session: Session) -> Cell:
    """How many nodes a category or an image has."""
    devices = session.daemon.state.table("device")
    by_category = Counter(str(device.values.get("category", "")) for device in devices.values())
    by_image = Counter(session.daemon.nodes.image_of(name) for name in devices)

    def count(entity: Entity) -> str:
        counted = by_category if entity.kind == "Category" else by_image
        return str(counted[str(entity.values["name"])])

    return count


def _wlm_nodes(session: Session, role: str) -> Cell:
    resolver = session.daemon.state.resolver
    members = [(node, resolver.roles(node)[role].role) for node in resolver.with_role(role)]

    def told(entity: Entity) -> str:
        mine = [node for node, held in members if held.values.get("wlmcluster") == entity.values["name"]]
        return ",".join(noderanges.collapse(mine))

    return told
