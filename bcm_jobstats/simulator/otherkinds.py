"""Objects beside nodes, overlays and images: profiles, monitoring data producers, partitions, networks, users.

Sources: bcm-facts §5.2, §9, §10 and AM11 §6.4, §14.1.2. Labels that no transcript shows are the field's name spelt out.
"""

from __future__ import annotations

from bcm_jobstats.simulator.entities import Entity, Value
from bcm_jobstats.simulator.schema import (
    CHOICE,
    COMPUTED,
    LINES,
    LIST,
    NODES,
    NUMBER,
    TEXT,
    Row,
    Schema,
    Submode,
    f,
    no,
)
from bcm_jobstats.simulator.tokens import PREDEFINED

FILTER_TYPES = ("Category", "Lua", "Node", "Overlay", "Resource", "Type")
"""What can follow `add` among node execution filters and execution multiplexers (AM11 App. L)."""
FILTER = "Filter"
FILTER_KINDS = tuple(name + FILTER for name in FILTER_TYPES)
PRODUCERS = ("PrometheusProducer", "MetricProducer")
PARTITION = "base"

_FILTER_FORMAT = "type:12,name:24,filter:24,filteroperation:16"

_PROFILE: tuple[Row, ...] = (f("Name"), f("Revision"), no("Non user"), f("Tokens", LINES))


def _producer(*own: Row) -> tuple[Row, ...]:
    return (
        f("Name"),
        f("Revision"),
        f("Type", COMPUTED),
        *own,
        f("Interval", NUMBER, "120"),
        f("Offset", NUMBER, "0"),
        no("Disabled"),
        Submode("nodeexecutionfilters", "Node execution filters", FILTER_KINDS, format=_FILTER_FORMAT),
        Submode("executionmultiplexers", "Execution multiplexers", FILTER_KINDS, format=_FILTER_FORMAT),
    )


def _filter(kind: str) -> tuple[Row, ...]:
    """A filter names what it includes; the order of its rows is that of AM11 §14.1.2's show (Node)."""
    plural = {"Category": "Categories", "Node": "Nodes", "Overlay": "Overlays", "Type": "Types"}.get(kind, kind)
    named = f(plural, NODES) if kind == "Node" else f(plural, LIST)
    operation = f("Filter operation", CHOICE, "Include", choices=("Include", "Exclude"))
    return (operation, f("Name"), named, f("Revision"), f("Type", COMPUTED), f("Filter", COMPUTED))


_PARTITION: tuple[Row, ...] = (
    f("Name"),
    f("Revision"),
    f("Cluster name", TEXT, "BCM Cluster"),
    Submode("failover", "Failover", ("Failover",), told="text", single=True),
)
_FAILOVER: tuple[Row, ...] = (f("Revision"), f("Pre failover script", name="prefailoverscript"))
_NETWORK: tuple[Row, ...] = (f("Name"), f("Revision"), f("Base address"), f("Netmask bits", NUMBER), f("Domain name"))
_USER: tuple[Row, ...] = (
    f("Name"),
    f("ID (key)", name="id", attribute="ID"),
    f("Primary group"),
    f("Secondary groups", LIST),
)


def other_schemas() -> list[Schema]:
    """The schemas of all these objects."""
    return [
        Schema("Profile", _PROFILE),
        Schema("PrometheusProducer", _producer(f("URLs", LIST, name="urls", attribute="urls"))),
        Schema("MetricProducer", _producer(f("Script"))),
        *(Schema(name + FILTER, _filter(name)) for name in FILTER_TYPES),
        Schema("Partition", _PARTITION),
        Schema("Failover", _FAILOVER),
        Schema("Network", _NETWORK),
        Schema("User", _USER),
    ]


def standing(network: str) -> dict[str, dict[str, Entity]]:
    """The tables of these objects in a fresh cluster; `network` is the /24 of its addresses."""
    partition = Entity("Partition", {"name": PARTITION}, {"failover": {"failover": Entity("Failover")}})
    address: dict[str, Value] = {"name": "internalnet", "baseaddress": f"{network}.0", "netmaskbits": "24"}
    profiles = {name: Entity("Profile", {"name": name, "tokens": kept}) for name, kept in PREDEFINED.items()}
    return {
        "profile": profiles,
        "monitoring": {"dmesg": Entity("MetricProducer", {"name": "dmesg"})},
        "partition": {PARTITION: partition},
        "network": {"internalnet": Entity("Network", address)},
        "user": {},
    }
