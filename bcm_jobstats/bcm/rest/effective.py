"""What a node's agent asks: which roles a node has, however they came to it (bcm-facts §8.2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bcm_jobstats.bcm import records
from bcm_jobstats.bcm.rest.client import Client
from bcm_jobstats.bcm.rest.reading import Json


def effective_roles(client: Client) -> Mapping[str, Collection[str]]:
    """node -> its roles in lower case, from `/rest/v1/device`; a node without roles has no such key (bcm-facts §8.2).

    Whether roles of overlays and categories are among them could not be confirmed (bcm-facts §13 #9).
    """
    found = records.named(Json(), "node", client.get("/rest/v1/device"), "hostname")
    return {
        name: frozenset(role.lower() for role in record.texts("roles")) if record.has("roles") else frozenset()
        for name, record in found.items()
    }
