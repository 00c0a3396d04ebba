"""Whose a thing in BCM is: our mark is the text in its `revision` field, where administrators see it too."""

from __future__ import annotations

from bcm_jobstats.bcm.entities import Place

OURS = "bcm-jobstats"
MEMBERS_OF_ADMINISTRATOR = "bcm-jobstats, members by administrator"
"""Of an overlay with `attach: manual`: the overlay is ours, its nodes and categories are not."""


def of_place(where: Place) -> str:
    """The mark of a service: a node's list shows its category's services too, and nothing else says whose they are."""
    return f"{OURS}, {where}"


def is_ours(revision: str) -> bool:
    """Whether we made the thing, or adopted it."""
    return revision.split(",", maxsplit=1)[0] == OURS
