"""BCM samples the exporters too, so that Base View shows their metrics: off unless `bcm.metrics` (bcm-facts §9)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bcm_jobstats.bcm.entities import Cluster, Place, Producer, place
from bcm_jobstats.enable.marks import OURS
from bcm_jobstats.enable.places import Placement
from bcm_jobstats.enable.resources import without_overlays
from bcm_jobstats.plan.resource import Resource, State

KIND = "producer"
MARK = "revision"


def desired(placed: Sequence[Placement], cluster: Cluster, *, generic: bool) -> Iterator[Resource]:
    """One producer for each exporter, on the nodes of its role's places. CMDaemon asks each node about itself.

    Without generic roles no overlay of ours is made: its categories and nodes stand in for it.
    """
    for placement in placed:
        places = placement.places if generic else tuple(dict.fromkeys(without_overlays(placement, cluster)))
        for exporter in placement.role.exporters if places else ():
            url = f"http://localhost:{exporter.port}/metrics"
            producer = Producer(f"jobstats-{exporter.name}", (url,), places, OURS)
            yield Resource(KIND, producer.name, state(producer), mark=MARK)


def state(producer: Producer) -> dict[str, Any]:
    """A producer as a resource's fields."""
    return {"urls": list(producer.urls), "places": sorted(map(str, producer.places)), MARK: producer.revision}


def producer(name: str, state: State) -> Producer:
    """The producer behind a resource."""
    places: tuple[Place, ...] = tuple(place(text) for text in state["places"])
    return Producer(name, tuple(state["urls"]), places, state[MARK])
