"""Whether a grab took everything: what a dry run after it still lists. BCM tells of a grab that failed nowhere that is
public (bcm-facts §6), so that a full disk in the middle of one looks like success.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from bcm_jobstats.imaging import itemized
from bcm_jobstats.imaging.itemized import CHANGED, Item

RESTLESS = (
    *("dev/*", "proc/*", "run/*", "sys/*", "tmp/*", "scratch/*", "local/*"),
    *(f"var/{name}/*" for name in ("cache", "lock", "log", "run", "spool", "tmp")),
    *("cm/local/apps/*/var/log/*", "cm/local/apps/*/var/spool/*"),
)
"""Where things come and go on a node that runs; the image of it is never the same there."""
BUSY = ("var/*", "home/*", "data/*", "raid/*", "root/.*", "etc/machine-id", "etc/mtab", "etc/adjtime", "*.log")
"""What changes on a node that runs, such as databases and clocks; a file of them that is missing was not taken."""


def left(before: str, written: str, after: str) -> Iterator[str]:
    """What a grab did not do, by three logs: of the dry run before it, of itself, and of a dry run after it. What the
    first two list and the last one too was not done; what only the last one lists came meanwhile."""
    yield from itemized.unheard(written, before)
    yield from itemized.unheard(after, before)
    due = {one.path for log in (before, written) for one in itemized.items(log)}
    yield from (f"{one.path} ({one.what})" for one in itemized.items(after) if one.path in due and not _by_itself(one))


def _by_itself(item: Item) -> bool:
    """Whether it may differ though the grab went well."""
    path = item.path.partition(" -> ")[0].partition(" => ")[0]
    busy = item.what == CHANGED and any(fnmatchcase(path, pattern) for pattern in BUSY)
    return item.only_time or busy or any(fnmatchcase(path, pattern) for pattern in RESTLESS)
