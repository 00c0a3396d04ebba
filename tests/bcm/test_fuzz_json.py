"""CMDaemon's JSON, of any shape and damaged in every way: a clear error, or exactly what it says.

What it says is told by a second reader, `strict`, written from bcm-facts §2, §3 and §8. Keys that a BCM may leave out
(`softwareImageProxy` of a node, `addFromRole` of a service, roles and services of a switch) and whole objects cannot be
missed by anybody. The client's part, bytes that are no JSON, is tried over HTTPS at the end.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Optional, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcm_jobstats.bcm.entities import (
    CATEGORY,
    NODE,
    OVERLAY,
    Category,
    Cluster,
    GenericRole,
    Node,
    Overlay,
    Place,
    Service,
    SoftwareImage,
    WlmCluster,
)
from bcm_jobstats.bcm.errors import Unreadable
from bcm_jobstats.bcm.rest import transport
from bcm_jobstats.bcm.rest.adapter import RestBcm
from bcm_jobstats.bcm.rest.client import Client
from bcm_jobstats.bcm.rest.effective import effective_roles
from bcm_jobstats.bcm.rest.errors import UnknownCall
from bcm_jobstats.simulator import pki
from tests.bcm.fuzzing import NAMES, TYPED, search
from tests.bcm.https import Server, serving, text
from tests.bcm.test_rest_reading import (
    CATEGORIES,
    DEVICES,
    IMAGES,
    OVERLAYS,
    PROFILES,
    WLMS,
    Recorded,
    Told,
    by_name,
    read,
    recorded,
)

ERRORS = (*TYPED, UnknownCall)
STATUS, REST_DEVICE, REST_VERSION = "/rest/v1/status", "/rest/v1/device", "/rest/v1/version"
CALLS = (OVERLAYS, DEVICES, CATEGORIES, IMAGES, WLMS, STATUS, REST_VERSION)
NONE = {"", "0", "00000000-0000-0000-0000-000000000000"}


class NotUnderstood(Exception):
    """Something that the second reader does not know."""


def check(condition: object, what: object = "") -> None:
    if not condition:
        raise NotUnderstood(what)


def field(one: Any, key: str, kind: type) -> Any:
    check(isinstance(one, dict) and type(one.get(key)) is kind, (key, kind))
    if kind is str:
        check(not any("\ud800" <= letter <= "\udfff" for letter in one[key]), key)
    return one[key]


def texts(one: Any, key: str) -> tuple[str, ...]:
    return tuple(field({"text": value}, "text", str) for value in field(one, key, list))


def named(objects: Any, key: str = "name") -> dict[str, Any]:
    check(isinstance(objects, list))
    found = {field(one, key, str): one for one in objects}
    check(len(found) == len(objects) and "" not in found, "names")
    return found


def keys(objects: dict[str, Any]) -> dict[str, str]:
    """What objects are referred to by."""
    found: dict[str, str] = {}
    for name, one in objects.items():
        for key in ("uuid", "uniqueKey", "key"):
            value = one.get(key)
            if isinstance(value, (str, int)) and str(value).strip("0") and str(value) not in NONE:
                check(found.get(str(value), name) == name, "two of one key")
                found[str(value)] = name
    return found


def refer(value: Any, known: dict[str, Any]) -> str:
    if value is None:
        return ""
    check(type(value) in {str, int}, value)
    by_key = keys(known)
    if str(value) in by_key:
        return by_key[str(value)]
    if isinstance(value, str) and value in known:
        return value
    check(str(value) in NONE or not str(value).strip("0"), value)
    return ""


def chosen(values: list[Any], known: dict[str, Any]) -> tuple[str, ...]:
    found = tuple(sorted(refer(value, known) for value in values))
    check("" not in found, values)
    return found


def image(one: Any, images: dict[str, Any]) -> str:
    proxy = one["softwareImageProxy"]
    if proxy is None:
        return ""
    check(isinstance(proxy, dict) and "parentSoftwareImage" in proxy)
    return refer(proxy["parentSoftwareImage"], images)


def held(one: Any) -> tuple[tuple[str, ...], dict[str, GenericRole]]:
    names, generic = [], {}
    for role in field(one, "roles", list):
        name, kind = field(role, "name", str), field(role, "childType", str)
        prefixed = name.lower().startswith("generic::")
        check(name and (kind == "GenericRole" or not prefixed), role)
        if kind == "GenericRole":
            name = name if prefixed else f"generic::{name}"
            generic[name] = GenericRole(name, texts(role, "services"), field(role, "revision", str))
        check(name not in names, "twice")
        names.append(name)
    return tuple(names), generic


def offered(one: Any) -> dict[str, Service]:
    found: dict[str, Service] = {}
    for service in field(one, "services", list):
        check(isinstance(service, dict))
        if service.get("addFromRole") is not None and field(service, "addFromRole", bool):
            continue
        name = field(service, "name", str)
        check(name and name not in found, "a service twice, or without a name")
        flags = [field(service, flag, bool) for flag in ("monitored", "autostart")]
        found[name] = Service(name, flags[0], flags[1], field(service, "revision", str))
    return found


def node(name: str, one: Any, categories: Any, images: Any, states: dict[str, str]) -> Node:
    kind = field(one, "childType", str)
    check(kind != "PhysicalNode" or "category" in one)
    category = refer(one.get("category"), categories)
    own = image(one, images) if one.get("softwareImageProxy") is not None else ""
    return Node(name, kind, category, own, states.get(name, ""))


def strict(told: Told) -> Cluster:
    images, categories = named(told[IMAGES]), named(told[CATEGORIES])
    devices, overlays = named(told[DEVICES], "hostname"), named(told[OVERLAYS])
    check(images and categories and devices, "a list that never is empty")
    for known in (images, categories, devices):
        keys(known)
    states = {name: field(one, "status", str).strip("[] ") for name, one in named(told[STATUS], "hostname").items()}
    check(all(isinstance(one, dict) and "softwareImageProxy" in one for one in categories.values()))
    places: dict[Place, Any] = {Place(OVERLAY, name): one for name, one in overlays.items()}
    places.update({Place(CATEGORY, name): one for name, one in categories.items()})
    for name, one in devices.items():
        kind = field(one, "childType", str)
        needed = kind.endswith("Node") and kind != "LiteNode"
        if needed or not kind or (one.get("roles") is not None and one.get("services") is not None):
            places[Place(NODE, name)] = one
    roles = {where: held(one) for where, one in places.items()}
    services = {where: offered(one) for where, one in places.items() if where.kind != OVERLAY}
    wlms = named(told[WLMS])
    return Cluster(
        field(told[REST_VERSION], "cm_version", str),
        {
            name: Overlay(name, field(one, "priority", int), field(one, "allHeadNodes", bool),
                          chosen(field(one, "nodes", list), devices),
                          chosen(field(one, "categories", list), categories),
                          field(one, "revision", str))
            for name, one in overlays.items()
        },
        {name: Category(name, image(one, images)) for name, one in categories.items()},
        {name: node(name, one, categories, images, states) for name, one in devices.items()},
        {name: SoftwareImage(name, field(one, "path", str)) for name, one in images.items()},
        {name: wlm(name, one) for name, one in wlms.items()},
        {where: names for where, (names, _) in roles.items() if names},
        {where: generic for where, (_, generic) in roles.items() if generic},
        {where: found for where, found in services.items() if found},
    )  # fmt: skip


def wlm(name: str, one: dict[str, Any]) -> WlmCluster:
    """The recorded answers have a version, and no settings."""
    kind = wlm_type(field(one, "childType", str))
    told = next((one[key] for key in reversed(one) if key.lower() == "version"), None)
    known = kind == "slurm" and isinstance(told, str) and re.fullmatch(r"[0-9]{2}\.[0-9]{2}([.-][-.A-Za-z0-9]+)?", told)
    return WlmCluster(name, kind, "", told if known and isinstance(told, str) else "")


def wlm_type(kind: str) -> str:
    lowered = kind.lower()
    for end in ("wlmcluster", "cluster"):
        if lowered.endswith(end):
            return lowered[: -len(end)]
    return lowered


def judge(told: Told) -> None:
    try:
        found = read(told)
    except ERRORS as error:
        str(error).encode()
        return
    assert found == strict(told)


@pytest.mark.parametrize("profile", PROFILES)
def test_both_readers_understand_what_is_not_damaged(profile: str) -> None:
    for change in (lambda told: None, by_name):
        told = recorded(profile)
        change(told)
        assert read(told) == strict(told)


# Answers of any shape.

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(10**40, 10**41), st.floats(), NAMES,
    st.sampled_from(["GenericRole", "PhysicalNode", "SlurmWlmCluster", "node001", "default", "jobstats", "UP"]),
)  # fmt: skip
KEYS = st.sampled_from(
    ["name", "hostname", "uuid", "uniqueKey", "childType", "roles", "services", "nodes", "categories", "priority",
     "allHeadNodes", "revision", "category", "softwareImageProxy", "parentSoftwareImage", "path", "status",
     "cm_version", "errormessage", "monitored", "autostart", "addFromRole"]
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=12,
)
DEEP: Any = "x"
for _ in range(600):
    DEEP = [DEEP]


@search(300)
@given(st.sampled_from(PROFILES), st.dictionaries(st.sampled_from(CALLS), JSON, min_size=1, max_size=3))
def test_answers_of_any_shape(profile: str, answers: dict[str, Any]) -> None:
    judge({**recorded(profile), **answers})


HUGE: list[tuple[str, Any]] = [
    (OVERLAYS, DEEP),
    (DEVICES, [{"hostname": DEEP}]),
    (STATUS, [{"hostname": "a", "status": "x" * 10_000_000}]),
    (IMAGES, "x" * 10_000_000),
    (WLMS, [{"name": 10**4000}]),
]


@pytest.mark.parametrize(
    ("call", "answer"), HUGE, ids=["deep", "a deep name", "a long status", "a long text", "a number"]
)
def test_large_answers(call: str, answer: Any) -> None:
    """As deep as it goes: whatever is told of it is cut, and telling of it needs no more stack than there is."""
    told = {**recorded("bcm11"), call: answer}
    client = Recorded(told)
    client.get = told.__getitem__  # type: ignore[assignment,method-assign]  # a copy would need more stack than there is
    try:
        assert RestBcm(cast(Client, client)).read(every_node=True) == strict(told)
    except ERRORS as error:
        assert len(str(error)) < 1_000


@search(150)
@given(JSON)
def test_roles_of_nodes_of_any_shape(answer: Any) -> None:
    """/rest/v1/device (bcm-facts §8.2)."""
    with contextlib.suppress(*ERRORS):
        found = effective_roles(Recorded({REST_DEVICE: answer}))  # type: ignore[arg-type]
        wanted = {name: frozenset(role.lower() for role in texts(one, "roles")) if one.get("roles") is not None
                  else frozenset() for name, one in named(answer, "hostname").items()}  # fmt: skip
        assert found == wanted


# Answers that were right before something happened to them.


def spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document: what holds it, and the key or number there."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        yield value, key
        yield from spots(inner)


def damage(told: Told, spot: int, how: str, new: Any, other: int) -> None:
    found = list(spots(told))
    holder, key = found[spot % len(found)]
    if holder is told and how in {"drop", "rename"}:
        return
    if how == "drop":
        del holder[key]
    elif how == "replace":
        holder[key] = new
    elif how == "twice" and isinstance(holder, list):
        holder.append(deepcopy(holder[key]))
    elif how == "rename" and isinstance(holder, dict):
        holder[f"{key}_"] = holder.pop(key)
    elif how == "swap":
        there, where = found[other % len(found)]
        if holder is not told and there is not told:
            holder[key], there[where] = deepcopy(there[where]), deepcopy(holder[key])


HOW = st.sampled_from(["drop", "replace", "replace", "twice", "rename", "swap"])
WHERE = st.integers(0, 100_000)


@search(600)
@given(st.sampled_from(PROFILES), st.booleans(), st.lists(st.tuples(WHERE, HOW, JSON, WHERE), min_size=1, max_size=3))
def test_damaged_answers(profile: str, names: bool, damages: list[tuple[int, str, Any, int]]) -> None:
    told = recorded(profile)
    if names:
        by_name(told)
    for spot, how, new, other in damages:
        damage(told, spot, how, new, other)
    judge(told)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_value_missing_null_twice_or_of_another_type(profile: str) -> None:
    """One after the other, none left out."""
    count = len(list(spots(recorded(profile))))
    for spot in range(count):
        for how, new in (("drop", None), ("twice", None), ("replace", None), ("replace", [1]), ("replace", {"name": 1}),
                         ("replace", "other"), ("replace", 7), ("replace", True)):  # fmt: skip
            told = recorded(profile)
            damage(told, spot, how, new, 0)
            judge(told)


def test_two_objects_of_one_key_are_not_mixed_up() -> None:
    """Whose nodes would an overlay get?"""
    told = recorded("bcm11")
    told[DEVICES][2]["uuid"] = told[DEVICES][1]["uuid"]
    with pytest.raises(Unreadable, match=r"node002.*as uuid of node001"):
        read(told)


# Bytes of any kind over HTTPS.


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    pki.prepare(directory, ["bcm-head"])
    return directory


@pytest.fixture(scope="module")
def server(certificates: Path) -> Iterator[Server]:
    with serving(certificates) as started:
        yield started


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits between two attempts."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)


TRUE = json.dumps([{"hostname": "node001", "roles": ["a"]}]).encode()
BODIES = st.one_of(
    st.binary(max_size=60),
    JSON.map(lambda value: json.dumps(value, allow_nan=True).encode()),
    st.integers(0, len(TRUE)).map(lambda end: TRUE[:end]),
    st.builds(lambda at, byte: TRUE[:at] + bytes([byte]) + TRUE[at + 1 :], st.integers(0, 40), st.integers(0, 255)),
    st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000, b"NaN", b'{"a":1,"a":2}',
                     b"\xff\xfe[\x00]\x00", b'{"errormessage": ' + b"[" * 400 + b"]" * 400 + b"}",
                     b'{"errormessage": null}', b"<html>503</html>",
                     b'{"errormessage": "\\ud800\\u001b[2J"}', b'{"errormessage": "' + b"x" * 100_000 + b'"}']),
)  # fmt: skip
STATUSES = st.sampled_from([200, 200, 200, 302, 308, 204, 503])
CONTENTS = st.sampled_from(["text/html", "application/json; charset=utf-16"])
LOCATIONS = st.sampled_from(["", "https://[", "http://127.0.0.1:1/", "//", "https://[::1]:99999/", "/x", "\xe4"])
ENCODINGS = st.sampled_from(["", "", "gzip", "deflate", "br", "x-unknown", "gzip, gzip"])


@search(100)
@given(BODIES, ENCODINGS, st.booleans(), st.integers(-3, 3), STATUSES, CONTENTS, LOCATIONS)
def test_bytes_of_any_kind(
    server: Server, certificates: Path, body: bytes, encoding: str, packed: bool, more: int, status: int, content: str,
    location: str,
) -> None:  # fmt: skip
    if packed:
        body = gzip.compress(body) if encoding != "deflate" else zlib.compress(body)
    headers = {"Content_Type": content, **({"Content_Encoding": encoding} if encoding else {})}
    if location:
        headers["Location"] = location
    server.says(text(body, status, max(len(body) + more, 0), **headers))
    client = Client(server.address, certificates / pki.ADMIN, certificates / pki.ADMIN_KEY, certificates / pki.CA, 10.0)
    told: Optional[Any] = None
    try:
        told = client.get("/rest/v1/device")
    except ERRORS as error:
        assert len(str(error)) < 2_000
        str(error).encode()
        return
    finally:
        if client._session is not None:
            client._session.close()
    assert status == 200 and more in {-3, -2, -1, 0}
    plain = body[: len(body) + more]
    if encoding in {"gzip", "deflate"}:
        # A checksum that was cut off loses nothing of the document.
        plain = zlib.decompressobj(wbits=31 if encoding == "gzip" else 15).decompress(plain)
    assert json.dumps(told) == json.dumps(json.loads(plain))


def test_the_words_of_an_error_are_kept_short() -> None:
    reply = transport.Reply(200, "", b'{"errormessage": "' + b"x" * 1_000_000 + b'"}')
    with pytest.raises(TYPED) as raised:
        transport.document("cmdevice getDevices", reply)
    assert len(str(raised.value)) < 1_000
