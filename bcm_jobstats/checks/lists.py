"""The exclude lists of the categories whose nodes run jobs, as far as BCM tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable

from bcm_jobstats.bcm.entities import Cluster
from bcm_jobstats.bcm.imagework import UPDATE, ImageWork
from bcm_jobstats.enable.places import JOBS
from bcm_jobstats.errors import JobstatsError


def of_jobs(cluster: Cluster, images: Callable[[], ImageWork]) -> Mapping[str, str]:
    """Category -> excludelistupdate; none at all when one cannot be read: then nobody knows enough. One question for
    each category."""
    carriers = (node for where in cluster.places_with(JOBS) for node in cluster.members(where))
    categories = sorted({node.category for node in carriers if node.category})
    try:
        return {name: images().exclude_lists(name)[UPDATE] for name in categories}
    except JobstatsError:
        return {}
