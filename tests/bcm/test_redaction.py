"""What a transcript says of the cluster it was made on: nothing that identifies it, and every word of BCM's own."""

from __future__ import annotations

import pytest

from bcm_jobstats.bcm.entities import OVERLAY, Category, Cluster, GenericRole, Node, Overlay, Place, SoftwareImage
from bcm_jobstats.bcm.probe.redaction import Redaction

NODES = ("n", "dgx-01", "dgx-02", "dgx-03", "dgx-04", "node001")
CLUSTER = Cluster(
    version="10.0",
    overlays={"ov-acme": Overlay("ov-acme", 500), "jobstats": Overlay("jobstats", 500, revision="bcm-jobstats")},
    categories={name: Category(name, "img") for name in ("a", "own", "gold")},
    nodes={name: Node(name, "PhysicalNode", "gold") for name in NODES},
    images={"img": SoftwareImage("img", "/cm/images/img")},
    wlms={},
    generic={Place(OVERLAY, "ov-acme"): {"generic::acme": GenericRole("generic::acme", ("acmed",))}},
)
HIDE = Redaction(CLUSTER)
GONE = {
    "a range": ("dgx-01..dgx-04", "dgx"),
    "a range in brackets": ("node[001-003],dgx-[01-04]", "dgx node[001"),
    "a domain": ("node001.acme.example.com", "acme example node001"),
    "an option": ("--dgx-01", "dgx"),
    "a uuid": ("6f1c2d3e-1111-2222-3333-444455556666", "6f1c2d3e 444455556666"),
    "IPv4": ("10.141.255.254/16", "10.141"),
    "IPv6": ("fe80::1ff:fe23:4567:890a", "fe80 890a"),
    "InfiniBand": ("80:00:02:08:fe:80:00:00:00:00:00:00:ec:0d:9a:03:00:aa:bb:cc", "9a:03 bb:cc"),
    "half a key": ("-----BEGIN PRIVATE KEY-----\nMIIE", "MIIE"),
    "mail": ("alice@acme.com", "alice acme"),
    "a home": ("/home/alice/x", "alice"),
    "their role and service": ("overlay/ov-acme/generic::acme acmed", "acme"),
    "a plain name": ("category gold", "gold"),
    "a revision of an image": ("/cm/images/img-1", "img"),
}


@pytest.mark.parametrize(("text", "words"), GONE.values(), ids=GONE)
def test_what_identifies_a_cluster_is_gone(text: str, words: str) -> None:
    told = HIDE(text)
    assert [word for word in words.split() if word in told] == [], told


KEPT = {
    "help": "Assign a role of its own: assign generic::NAME",
    "a time": "Sat Nov 21 11:24:42 2026 [notice]",
    "ours": 'configurationoverlay; use "jobstats"; roles; use "generic::jobstats"',
    "a command": 'category; use "default"; list -f name:4 -d {}',
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_words_of_bcm_are_kept_though_objects_are_called_like_them(text: str) -> None:
    assert HIDE(text, fixed=True) == text


def test_a_name_between_quotes_is_a_name_in_commands_too() -> None:
    assert "gold" not in HIDE('category; use "gold"; use "generic::acme"', fixed=True)
    assert "acme" not in HIDE('use "generic::acme"', fixed=True)
