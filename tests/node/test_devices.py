"""The list of devices: read exactly, whole, and in little memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest

from bcm_jobstats.node.devices import LARGEST, MOST, Devices, Reader
from bcm_jobstats.node.ports import NotListed, Unknown
from tests.node.tlshead import HEAD, listed

SUBJECT = "head node x"


def read(pieces: Iterable[bytes], role: str = "slurmclient") -> Devices:
    reader = Reader(SUBJECT, role)
    for piece in pieces:
        reader.feed(piece)
    return reader.end()


def cut(body: bytes, size: int) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))


def test_a_list_tells_who_has_the_role() -> None:
    """bcm-facts §8.2: a node without roles has no key; roles are compared in lower case."""
    devices = read([json.dumps(listed(node_1=["SlurmClient", "x"], node_2=["boot"], node_3=[])).encode()])
    assert devices.roles == {"bcm-head": False, "node-1": True, "node-2": False, "node-3": False}


@pytest.mark.parametrize("size", [1, 2, 7, 50, 1000])
def test_it_does_not_matter_where_pieces_end(size: int) -> None:
    told: list[dict[str, object]] = [
        {**HEAD, "hostname": "bcm-héad", "note": '\\"}]{[\u2028', "n": [1.5e3, None, True, {"a": []}]}
    ]
    body = json.dumps([*told, *listed(node_1=["slurmclient"])], ensure_ascii=False, indent=1).encode()
    assert read(cut(body, size)).roles == {"bcm-héad": False, "bcm-head": False, "node-1": True}


@pytest.mark.parametrize("name", ["dgx-01", "DGX-01", "dgx-01.cluster.local", "Dgx-01.X"])
def test_names_are_short_and_in_lower_case(name: str) -> None:
    body = json.dumps([HEAD, {"hostname": name, "roles": ["slurmclient"]}]).encode()
    assert read([body]).has("dgx-01") is True


def test_a_device_that_is_not_listed_or_twice_is_unknown() -> None:
    body = json.dumps([*listed(a=["slurmclient"], b=[]), {"hostname": "A.other", "roles": ["slurmclient"]}]).encode()
    devices = read([body])
    assert devices.has("b") is False
    with pytest.raises(NotListed, match="device a: is in BCM's list of devices twice"):
        devices.has("a")
    with pytest.raises(NotListed, match="device c: is not in BCM's list"):
        devices.has("c")


WHOLE = json.dumps(listed(node_1=["slurmclient"])).encode()
JSON, LIST, BREAKS = "its answer is not JSON", "its answer is not a list of devices", "breaks off or is not JSON"
NO_NAME, NO_ROLES = "without a host name", "whose roles are not a list of names"
UNUSABLE: dict[str, tuple[bytes, str]] = {
    "an error": (b'{"errormessage":"Your certificate (profile:) does not allow access to /rest\\n"}',
                 "says: Your certificate (profile:) does not allow access to /rest"),
    "an error of no words": (b'{"errormessage":""}', "says: nothing"),
    "null": (b"null", LIST),
    "an object": (b"{}", LIST),
    "a number": (b"17", LIST),
    "a page": (b"<html>It works!</html>", JSON),
    "empty": (b"", "its answer is empty"),
    "blanks": (b" \n", "its answer is empty"),
    "no devices": (b"[]", "no device with any role"),
    "no roles at all": (b'[{"hostname":"a"},{"hostname":"b","roles":[]}]', "no device with any role"),
    "truncated in a device": (WHOLE[:-9], BREAKS),
    "truncated after one": (WHOLE[: WHOLE.index(b"}") + 1], BREAKS),
    "truncated after a comma": (WHOLE[: WHOLE.index(b"}, ") + 2], BREAKS),
    "truncated in a letter": (b'[{"hostname":"\xc3', "not UTF-8"),
    "no comma": (WHOLE.replace(b"}, ", b"} "), JSON),
    "a comma too many": (WHOLE.replace(b"}]", b"},]"), LIST),
    "a colon too few": (WHOLE.replace(b": ", b" ", 1), BREAKS),
    "two lists": (WHOLE + WHOLE, "goes on after its end"),
    "garbage after it": (WHOLE + b"\0", "goes on after its end"),
    "NaN": (WHOLE.replace(b'"HeadNode"', b"NaN"), JSON),
    "a key twice": (WHOLE.replace(b'"type"', b'"roles"', 1), JSON),
    "no UTF-8": (WHOLE.replace(b"node-1", b"node-\xff"), "not UTF-8"),
    "a list in it": (b"[[]]", LIST),
    "a name in it": (b'["node-1"]', LIST),
    "null in it": (b"[null]", LIST),
    "no name": (b'[{"roles":["boot"]}]', NO_NAME),
    "a name of another kind": (b'[{"hostname":7}]', NO_NAME),
    "an empty name": (b'[{"hostname":""}]', NO_NAME),
    "roles null": (b'[{"hostname":"a","roles":null}]', NO_ROLES),
    "roles a text": (b'[{"hostname":"a","roles":"slurmclient"}]', NO_ROLES),
    "a role of another kind": (b'[{"hostname":"a","roles":["x",{"name":"slurmclient"}]}]', NO_ROLES),
    "deep": (b'[{"hostname":' + b"[" * 100_000, JSON),
    "an endless name": (b'[{"hostname":"' + b"x" * 400_000, JSON),
    "an endless page": (b"x" * 400_000, JSON),
    "an endless number": (b'[{"hostname":"a","n":' + b"9" * 10_000 + b"}]", BREAKS),
}  # fmt: skip


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_is_not_exactly_a_list_of_devices_is_unknown(name: str) -> None:
    """bcm-facts §8.1 has the error, which comes with HTTP status 200, and null."""
    body, cause = UNUSABLE[name]
    with pytest.raises(Unknown) as raised:
        read(cut(body, 64 * 1024))
    assert cause in raised.value.cause
    assert raised.value.subject == SUBJECT and raised.value.remedy


def test_what_cmdaemon_says_is_on_one_line_and_short() -> None:
    with pytest.raises(Unknown) as raised:
        read([json.dumps({"errormessage": "a\n\tb\ud800" + "x" * 999}).encode()])
    assert raised.value.cause.startswith("says: a b?x") and len(raised.value.cause) < 220


def test_a_right_that_is_missing_names_the_certificate() -> None:
    with pytest.raises(Unknown) as raised:
        read([b'{"errormessage":"Your certificate (profile:x) does not allow access to /rest/v1/device"}'])
    assert "certificate --for role-monitor" in raised.value.remedy


def test_a_list_of_any_length_is_given_up_at_the_limit_and_costs_no_memory() -> None:
    reader, piece = Reader(SUBJECT, "slurmclient"), b'{"hostname":"node-1","note":"%s"},' % (b"x" * 3000) * 20
    fed = 0
    reader.feed(b"[")
    tracemalloc.start()
    try:
        with pytest.raises(Unknown, match="larger than 16 MiB"):
            while fed < 50 << 20:
                reader.feed(piece)
                fed += len(piece)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert fed <= LARGEST
    assert most < 1 << 20


@pytest.mark.parametrize("more", [0, 1])
def test_names_without_end_are_given_up_before_they_cost_much_memory(more: int) -> None:
    """Short ones: millions of them fit into an answer."""
    nodes = (f'{{"hostname":"{number:x}"}},' for number in range(MOST - 1 + more))
    body = f"[{''.join(nodes)}{json.dumps(HEAD)}]".encode()
    if more:
        with pytest.raises(Unknown, match="more than 50,000 devices"):
            read([body])
    else:
        assert len(read([body]).roles) == MOST


def test_ten_thousand_nodes_cost_what_their_names_do() -> None:
    nodes = [{"hostname": f"node{number:05}", "roles": ["slurmclient"], "mac": "x" * 150} for number in range(10_000)]
    body = json.dumps([HEAD, *nodes]).encode()
    tracemalloc.start()
    try:
        devices = read(cut(body, 64 * 1024))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(has is True for has in devices.roles.values()) == 10_000
    assert most < 3 << 19 < len(body)
