"""The pythoncm adapter over entities that behave badly: what CMDaemon says is told, what it drops is noticed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Callable, cast

import pytest

from bcm_jobstats.bcm.entities import CATEGORY, NODE, OVERLAY, GenericRole, Overlay, Place, Service
from bcm_jobstats.bcm.errors import Refused, Unreachable, Unreadable
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.bcm.pythoncm.adapter import PythoncmBcm
from bcm_jobstats.errors import JobstatsError
from tests.bcm.fakehead import (
    Cmsh,
    Connection,
    Head,
    breaks,
    drops,
    empties,
    head,
    ignores,
    made,
    refuses,
    takes_and_breaks,
)

ROLE = "generic::jobstats"
PLACES = (Place(OVERLAY, "o"), Place(CATEGORY, "c"), Place(NODE, "n1"))


def port(told: Head, calls: Callable[[str], str] = lambda name: name) -> PythoncmBcm:
    return PythoncmBcm(told.connect, cast(Bcm, Cmsh(told, calls)))


NEW = Overlay("new", 510, True, ("n1",), ("c",), "bcm-jobstats")
WANTED, SERVICE = GenericRole(ROLE, ("a", "b"), "bcm-jobstats"), Service("a", True, True, "bcm-jobstats")
WRITES: dict[str, Callable[[PythoncmBcm], object]] = {
    "overlay": lambda bcm: bcm.save_overlay(Overlay("o"), replace(NEW, name="o")),
    "remove overlay": lambda bcm: bcm.remove_overlay("o"),
    **{f"role of {where}": lambda bcm, where=where: bcm.save_role(where, None, WANTED) for where in PLACES},  # type: ignore[misc]
    **{f"service of {where}": lambda bcm, where=where: bcm.save_service(where, None, SERVICE) for where in PLACES[1:]},  # type: ignore[misc]
}  # fmt: skip


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_what_was_taken_is_told(write: Callable[[PythoncmBcm], object]) -> None:
    told = head()
    write(port(told))
    assert told.commits == 1


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize(
    ("commit", "words"),
    [
        (refuses, "The priority is not allowed"),
        (breaks, "connection was lost"),
        (ignores, "pythoncm said nothing"),
    ],
)
def test_what_was_not_taken_is_an_error_with_its_words(
    write: Callable[[PythoncmBcm], object], commit: Callable[[SimpleNamespace], Any], words: str
) -> None:
    """bcm-facts §7: `.good`, and printing the result tells why."""
    with pytest.raises(Refused, match=words) as raised:
        write(port(head(commit)))
    assert raised.value.remedy


@pytest.mark.parametrize("write", [w for name, w in WRITES.items() if name != "remove overlay"])
@pytest.mark.parametrize("commit", [drops, empties])
def test_what_is_dropped_silently_is_noticed(
    write: Callable[[PythoncmBcm], object], commit: Callable[[SimpleNamespace], Any]
) -> None:
    """bcm-facts §8.1: success stays true."""
    if commit is drops and write is WRITES["overlay"]:
        return
    with pytest.raises(Refused):
        write(port(head(commit)))


def test_what_was_taken_before_the_connection_broke_is_no_error() -> None:
    assert port(head(takes_and_breaks)).save_role(PLACES[0], None, WANTED) == WANTED


def test_roles_of_others_stay() -> None:
    """bcm-facts §7: a new one is appended to its parent's list."""
    told = head()
    bcm = port(told)
    bcm.save_role(PLACES[0], None, WANTED)
    assert [one.name for one in told.tables["ConfigurationOverlay"]["o"].roles] == ["slurmclient", ROLE]
    assert bcm.remove_role(PLACES[0], ROLE) is None
    assert [one.name for one in told.tables["ConfigurationOverlay"]["o"].roles] == ["slurmclient"]


def test_only_what_differs_is_set() -> None:
    """What an administrator changed meanwhile stays."""
    told = head()
    told.tables["ConfigurationOverlay"]["o"].priority = 700
    told.tables["ConfigurationOverlay"]["o"].nodes = [told.tables["Node"]["n2"]]
    with pytest.raises(Refused):
        port(told).save_overlay(Overlay("o"), Overlay("o", revision="r"))
    there = told.tables["ConfigurationOverlay"]["o"]
    assert (there.priority, [one.hostname for one in there.nodes], there.revision) == (700, ["n2"], "r")


NONSENSE: dict[str, tuple[Callable[[PythoncmBcm], object], str]] = {
    "a new overlay that is there": (lambda bcm: bcm.save_overlay(None, Overlay("o", 510)), "already"),
    "a change of one that is not": (lambda bcm: bcm.save_overlay(Overlay("x"), Overlay("x", 510)), "no overlay x"),
    "a node that is not": (lambda bcm: bcm.save_overlay(None, Overlay("x", nodes=("n1", "n9"))), "no node n9"),
    "a category that is not": (lambda bcm: bcm.save_overlay(None, Overlay("x", categories=("d",))), "no category d"),
    "a role of nothing": (lambda bcm: bcm.save_role(Place(OVERLAY, "x"), None, WANTED), "no overlay x"),
    "a role to change": (lambda bcm: bcm.save_role(PLACES[1], GenericRole(ROLE), WANTED), "not assigned"),
    "a service to change": (lambda bcm: bcm.save_service(PLACES[1], Service("a"), SERVICE), "not in the list"),
    "a service of nothing": (lambda bcm: bcm.save_service(Place(NODE, "n9"), None, SERVICE), "no node n9"),
}


@pytest.mark.parametrize(("write", "words"), NONSENSE.values(), ids=NONSENSE)
def test_what_makes_no_sense_is_not_sent(write: Callable[[PythoncmBcm], object], words: str) -> None:
    told = head()
    with pytest.raises(Refused, match=words):
        write(port(told))
    assert told.commits == 0


def test_taking_away_what_is_not_there_is_no_error() -> None:
    told = head()
    bcm = port(told)
    assert bcm.remove_overlay("x") is None
    assert bcm.remove_role(PLACES[1], ROLE) is None
    assert bcm.remove_role(Place(NODE, "n9"), ROLE) is None
    assert bcm.remove_service(PLACES[1], SERVICE) is None
    assert told.commits == 0


def test_a_service_of_another_is_not_ours_to_miss() -> None:
    told = head()
    bcm = port(told)
    bcm.save_service(PLACES[1], None, SERVICE)
    told.commit = lambda one: SimpleNamespace(good=True)
    told.tables["Category"]["c"].services[0].revision = "another"
    assert bcm.remove_service(PLACES[1], SERVICE) is None


def test_cmsh_makes_a_new_overlay_where_pythoncm_cannot() -> None:
    """Public texts do not say how a new object comes to its cluster (bcm-facts §7)."""
    told = head(breaks)
    cmsh = Cmsh(told)
    assert PythoncmBcm(told.connect, cast(Bcm, cmsh)).save_overlay(None, NEW) == NEW
    assert cmsh.made == ["new"]


def test_a_cluster_that_new_objects_are_added_to(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[Any] = []
    monkeypatch.setattr(Connection, "add", lambda self, one: added.append(one), raising=False)
    told = head()
    assert port(told).save_overlay(None, NEW) == NEW
    assert [one.name for one in added] == ["new"]


def test_a_generic_role_is_named_as_cmsh_knows_it() -> None:
    """Whether its name has the prefix in entities could not be confirmed: cmsh tells. bcm-facts §13 #7."""
    told = head()
    bcm = port(told, calls=lambda name: f"generic::{name}")
    assert bcm.save_role(PLACES[2], None, WANTED) == WANTED
    assert [one.name for one in told.tables["Node"]["n1"].roles] == ["jobstats"]


def test_a_role_that_cmsh_knows_under_no_name_is_taken_back() -> None:
    told = head()
    with pytest.raises(Refused, match="cmsh does not know"):
        port(told, calls=lambda name: f"another {name}").save_role(PLACES[1], None, WANTED)
    assert told.tables["Category"]["c"].roles == []


ODD: dict[str, Callable[[Head], None]] = {
    "no priority": lambda told: delattr(told.tables["ConfigurationOverlay"]["o"], "priority"),
    "a priority of text": lambda told: setattr(told.tables["ConfigurationOverlay"]["o"], "priority", "500"),
    "nodes by key": lambda told: setattr(told.tables["ConfigurationOverlay"]["o"], "nodes", ["a-uuid"]),
    "no list of roles": lambda told: setattr(told.tables["Category"]["c"], "roles", None),
    "a role without a type": lambda told: setattr(told.tables["Node"]["n1"], "roles", [SimpleNamespace(name="x")]),
    "a service without a name": lambda told: setattr(told.tables["Node"]["n1"], "services", [SimpleNamespace()]),
    "no name": lambda told: setattr(told.tables["Category"]["c"], "name", ""),
}


@pytest.mark.parametrize("spoil", ODD.values(), ids=ODD)
def test_entities_of_another_form_are_an_error_that_names_them(spoil: Callable[[Head], None]) -> None:
    """bcm-facts §7, §2: names as in JSON, seen in public scripts only."""
    told = head()
    spoil(told)
    with pytest.raises(Unreadable) as raised:
        port(told).read(every_node=True)
    assert raised.value.remedy


@pytest.mark.parametrize("error", [OSError("connection refused"), RuntimeError(), KeyError("x")])
@pytest.mark.parametrize("question", ["get_by_type", "get_by_name"])
def test_whatever_pythoncm_raises_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, error: Exception, question: str
) -> None:
    def fails(self: Connection, *words: str) -> Any:
        raise error

    monkeypatch.setattr(Connection, question, fails)
    bcm = port(head())
    with pytest.raises(Unreachable if question == "get_by_type" else JobstatsError):
        bcm.read() if question == "get_by_type" else bcm.save_role(PLACES[0], None, WANTED)


def test_devices_without_roles_are_passed_over() -> None:
    told = head()
    told.tables["Node"]["switch"] = made(told, "Node", hostname="switch", childType="EthernetSwitch")
    del told.tables["Node"]["switch"].roles
    assert "switch" in port(told).read(every_node=True).nodes


def test_a_role_can_be_assigned_and_nothing_is_committed() -> None:
    told = head()
    assert port(told).can_assign(PLACES[0], ROLE)
    assert told.commits == 0
