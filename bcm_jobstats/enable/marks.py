"""Whose a thing in BCM is: our mark is the text in its `revision` field, where administrators see it too."""

from __future__ import annotations

OURS = "bcm-jobstats"
MEMBERS_OF_ADMINISTRATOR = "bcm-jobstats, members by administrator"
"""Of an overlay with `attach: manual`: the overlay is ours, its nodes and categories are not."""


def is_ours(revision: str) -> bool:
    """Whether we made the thing, or adopted it."""
    return revision.split(",", maxsplit=1)[0] == OURS
