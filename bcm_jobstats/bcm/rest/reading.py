"""What is asked of CMDaemon over JSON, and how its entities become ours: seven calls, whatever the number of nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Optional

from bcm_jobstats.bcm import assembly, records, wlmsettings
from bcm_jobstats.bcm.entities import CATEGORY, NODE, OVERLAY, Category, Cluster, Node, Place, SoftwareImage, WlmCluster
from bcm_jobstats.bcm.errors import Refused, Unreadable
from bcm_jobstats.bcm.records import MISSING, Record
from bcm_jobstats.bcm.rest.client import Client
from bcm_jobstats.bcm.rest.errors import UnknownCall

IDENTITIES = ("uuid", "uniqueKey", "key")
"""What BCM 11, BCM 10 and old monitoring calls know an object by (bcm-facts §8.1)."""
NOBODY = re.compile(r"0*|0{8}-0{4}-0{4}-0{4}-0{12}")
"""A reference to nothing: empty, 0, or the UUID of zeros (bcm-facts §8.1, task_uuid)."""
OVERLAY_SERVICES = ("cmdevice", "cmpart")
"""Where the calls of overlays may be, likeliest first: nobody could confirm it (bcm-facts §13 #7)."""


class Json:
    """Entities as JSON: objects with keys, references by identity or by name (a Source of records)."""

    name = "CMDaemon"

    def __init__(self) -> None:
        self._identities: dict[str, dict[str, str]] = {}
        self._names: dict[str, dict[str, str]] = {}

    def learn(self, kind: str, found: Mapping[str, Record]) -> None:
        """Objects of a kind that may be referred to."""
        self._names[kind] = {name: name for name in found}
        known = self._identities[kind] = {}
        for name, record in found.items():
            for key in IDENTITIES:
                value = self.get(record.raw, key)
                told = isinstance(value, (str, int)) and not NOBODY.fullmatch(str(value))
                if told and known.setdefault(str(value), name) != name:
                    cause = f"{self.name} has {records.shown(value)} as {key} of {known[str(value)]} too"
                    raise Unreadable(record.label, cause, records.REMEDY)

    def get(self, raw: object, key: str) -> object:
        """See Source."""
        if not isinstance(raw, dict):
            raise Unreadable(self.name, f"told {records.shown(raw)} where an object was expected", records.REMEDY)
        return raw.get(key, MISSING)

    def refer(self, kind: str, value: object) -> Optional[str]:
        """See Source. An identity goes before a name; a number is never a name."""
        if value is None:
            return ""
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            return None
        text = str(value)
        names = self._names.get(kind, {}) if isinstance(value, str) else {}
        return self._identities.get(kind, {}).get(text) or names.get(text) or ("" if NOBODY.fullmatch(text) else None)


def overlays(client: Client, services: Sequence[str] = OVERLAY_SERVICES) -> tuple[str, object]:
    """The first of `services` that has the call for all overlays, and its answer (capability `overlay-calls`).

    Raises Refused when none has it.
    """
    for service in services:
        try:
            return service, client.call(service, "getConfigurationOverlays")
        except UnknownCall:
            continue
    raise Refused(
        "configuration overlays",
        f"neither {' nor '.join(services)} has the call getConfigurationOverlays (capability overlay-calls)",
        "Use --bcm cmsh, and report which service has it: the head node tells at https://<head>:8081/api.",
    )


def overlay_service(client: Client) -> str:
    """The service that has the calls of overlays; raises Refused."""
    return overlays(client)[0]


def cluster(client: Client, told_overlays: object) -> Cluster:
    """All that JSON and REST tell, with the roles and services of every node; the answer for overlays is there."""
    source = Json()
    images = records.named(source, "software image", client.call("cmpart", "getSoftwareImages"))
    categories = records.named(source, "category", client.call("cmdevice", "getCategories"))
    devices = records.named(source, "node", client.call("cmdevice", "getDevices"), "hostname")
    for kind, found in (("software image", images), ("category", categories), ("node", devices)):
        if not found:
            raise Unreadable("CMDaemon", f"tells of no {kind}, and every BCM has one", records.REMEDY)
        source.learn(kind, found)
    named = records.named(source, "overlay", told_overlays)
    states = statuses(client.get("/rest/v1/status"))
    told = Cluster(
        version=version(client.get("/rest/v1/version")),
        overlays={name: assembly.overlay(record) for name, record in named.items()},
        categories={name: Category(name, _image(record)) for name, record in categories.items()},
        nodes={name: _node(name, record, states) for name, record in devices.items()},
        images={name: SoftwareImage(name, record.text("path")) for name, record in images.items()},
        wlms=_wlms(client, source),
    )
    places = {
        **{Place(OVERLAY, name): record for name, record in named.items()},
        **{Place(CATEGORY, name): record for name, record in categories.items()},
        **{Place(NODE, name): record for name, record in devices.items() if assembly.can_hold(record)},
    }
    return assembly.with_assigned(told, places)


def version(document: object) -> str:
    """The version of Cluster Manager, such as `11.0` or `10.25.03` (bcm-facts §8.2)."""
    return Record(Json(), "/rest/v1/version", document).text("cm_version")


def statuses(document: object) -> dict[str, str]:
    """node -> status, such as `UP`, from `/rest/v1/status` (bcm-facts §8.2)."""
    found = records.named(Json(), "status", document, "hostname")
    return {name: record.text("status").strip("[] ") for name, record in found.items()}


def _node(name: str, record: Record, states: Mapping[str, str]) -> Node:
    kind = record.text("childType")
    category = record.reference("category", "category") if kind == "PhysicalNode" or record.has("category") else ""
    image = _image(record) if record.has("softwareImageProxy") else ""
    return Node(name, kind, category, image, states.get(name, ""))


def _image(record: Record) -> str:
    """The image of a category, or the one that a node has instead of its category's (bcm-facts §6)."""
    proxy = record.inner("softwareImageProxy")
    return proxy.reference("parentSoftwareImage", "software image") if proxy else ""


def _wlms(client: Client, source: Json) -> dict[str, WlmCluster]:
    """Workload managers. That CMJob has getWlmClusters is an assumption; without it none is known, as without Slurm."""
    try:
        answer = client.call("cmjob", "getWlmClusters")
    except UnknownCall:
        return {}
    found = records.named(source, "wlm cluster", answer)
    return {name: _wlm(name, record) for name, record in found.items()}


def _wlm(name: str, record: Record) -> WlmCluster:
    """A workload manager. The keys of its settings are cmsh's names in some spelling, nobody could confirm which; what
    is not told in a form that is known is left out, as cmsh's adapter does (capability wlm-settings)."""
    kind = _wlm_type(record.text("childType"))
    if kind != "slurm":
        return WlmCluster(name, kind)
    own = _folded(record.raw)
    told = {**own, **_folded(own.get("cgroups"))}
    words = {name: _words(value) for name, value in told.items()}
    etc, version = wlmsettings.directory(words.get("etc")), wlmsettings.release(words.get("version"))
    return WlmCluster(name, kind, etc, version, wlmsettings.known(words))


def _folded(raw: object) -> dict[str, object]:
    """An object's fields by their names in small letters, which is how cmsh has them; none of what is no object."""
    return {str(key).lower(): value for key, value in raw.items()} if isinstance(raw, dict) else {}


def _words(value: object) -> Optional[str]:
    """A field as cmsh would print it; None for a form that cmsh has no words for."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(value) if all(isinstance(one, str) for one in value) else None
    return value if isinstance(value, str) else None


def _wlm_type(kind: str) -> str:
    """`slurm` from `SlurmWlmCluster`."""
    return re.sub(r"wlmcluster$|cluster$", "", kind.lower())
