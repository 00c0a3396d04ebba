"""pythoncm's entities: how their fields are read, and how they are found (bcm-facts §7)."""

from __future__ import annotations

from typing import Any, Callable, Optional, TypeVar

from bcm_jobstats.bcm import records
from bcm_jobstats.bcm.entities import CATEGORY, NODE, OVERLAY, Place
from bcm_jobstats.bcm.errors import Unreachable
from bcm_jobstats.bcm.pythoncm.load import Session
from bcm_jobstats.bcm.records import MISSING, Record
from bcm_jobstats.errors import JobstatsError

T = TypeVar("T")
TYPES = {OVERLAY: "ConfigurationOverlay", CATEGORY: "Category", NODE: "Node"}
KEYS = {"node": "hostname"}
"""What an object's name is called, unless `name`."""


class Rejected(Exception):
    """Why a change was not even sent: it makes no sense on what is there."""


class CannotAdd(Exception):
    """This pythoncm has no known way to make a new object of its own."""


class Entities:
    """Entities of pythoncm: fields are attributes, references are the entities themselves (a Source of records)."""

    name = "pythoncm"

    def get(self, raw: object, key: str) -> object:
        """See Source."""
        return getattr(raw, key, MISSING)

    def refer(self, kind: str, value: object) -> Optional[str]:
        """See Source."""
        if value is None:
            return ""
        name = getattr(value, KEYS.get(kind, "name"), None)
        return name if isinstance(name, str) and name else None


SOURCE = Entities()


def asked(question: Callable[[], T]) -> T:
    """The answer to a question; what pythoncm raises is Unreachable, as its exceptions are not documented."""
    try:
        return question()
    except (JobstatsError, Rejected, CannotAdd):
        raise
    except Exception as error:
        cause = f"got no answer from CMDaemon: {error or type(error).__name__}"
        raise Unreachable("pythoncm", cause, "Check CMDaemon (systemctl status cmd), or use --bcm cmsh.") from error


def all_of(session: Session, kind: str) -> dict[str, Record]:
    """Every overlay, category or node by name."""
    raws = asked(lambda: list(session.cluster.get_by_type(TYPES[kind])))
    return records.named(SOURCE, kind, raws, KEYS.get(kind, "name"))


def one(session: Session, where: Place) -> Any:
    """The entity of an overlay, a category or a node; None when there is none."""
    return asked(lambda: session.cluster.get_by_name(where.name, TYPES[where.kind]))


def record(where: Place, entity: Any) -> Record:
    """An entity to read from."""
    return Record(SOURCE, str(where), entity)
