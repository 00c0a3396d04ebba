"""What nobody could confirm about BCM, both ways (bcm-facts §13)."""

from __future__ import annotations

import pytest

from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.simulator.noderunner import ServiceState

ROLES = "configurationoverlay; use slurm-client; roles"
FORMS = {
    "yes": "assign generic::jobstats",
    "typed": "assign generic jobstats",
    "class": "assign GenericRole jobstats",
}


def turn(cluster: InProcess, **switches: str) -> None:
    for name, value in switches.items():
        cluster.control(op="switch", name=name, value=value)


@pytest.mark.parametrize("form", ["yes", "typed", "class", "no"])
def test_a_generic_role_is_assigned_in_one_form_only(cluster: InProcess, form: str) -> None:
    """bcm-facts §13 #1."""
    turn(cluster, generic_assign=form)
    told = cluster.run(f"{ROLES}; help assign")
    for name, line in FORMS.items():
        cluster.run(f"home; {ROLES}; {line}")
        worked = not cluster.session.failed
        assert worked == (name == form), line
        if worked:
            assert cluster.run("get name; get type") == "generic::jobstats\nGenericRole\n"
        shown = line.replace("generic::jobstats", "generic::<name>").replace(" jobstats", " <name>")
        assert (f"   {shown}\n" in told) == (name == form)
    assert [line for line in told.splitlines() if line and line[0] != " "] == ["Name:", "Usage:", "Arguments:"]


@pytest.mark.parametrize("texts", ["plain", "other"])
def test_no_word_of_an_error_is_the_same_in_the_other_wording(cluster: InProcess, texts: str) -> None:
    """bcm-facts §13 #5."""
    turn(cluster, texts=texts)
    told = cluster.run("device use nosuch; nosuch; configurationoverlay; use slurm-client; set priority 250; commit")
    plain = all(text in told for text in ("No such device", "Unknown command", "The priority should be"))
    other = not any(text in told for text in ("No such", "Unknown", "should be"))
    assert (plain, other) == (texts == "plain", texts == "other")
    assert cluster.session.failed


def test_literal_messages_stay_in_the_other_wording(cluster: InProcess) -> None:
    turn(cluster, texts="other")
    assert "The category should be set" in cluster.run("device; add physicalnode x; commit")


@pytest.mark.parametrize(("value", "accepted"), [("refused", False), ("accepted", True)])
def test_configurations_of_other_types(cluster: InProcess, value: str, accepted: bool) -> None:
    """bcm-facts §13 #2."""
    turn(cluster, configuration_types=value)
    cluster.run(f"{ROLES}; assign generic::x; configurations; add templated y")
    assert cluster.session.failed != accepted
    cluster.run("commit")
    role = cluster.daemon.state.table("configurationoverlay")["slurm-client"].entries("roles")["generic::x"]
    assert [entry.kind for entry in role.entries("configurations").values()] == ["templated"] * accepted


@pytest.mark.parametrize(("value", "accepted"), [("refused", False), ("accepted", True)])
def test_customizations_of_an_overlay(cluster: InProcess, value: str, accepted: bool) -> None:
    """bcm-facts §13 #14."""
    turn(cluster, customizations=value)
    cluster.run("configurationoverlay; use slurm-client; customizations; add x")
    assert cluster.session.failed != accepted
    assert f"<{int(accepted)} in submode>" in cluster.run("home; configurationoverlay; use slurm-client; show")


@pytest.mark.parametrize(("value", "same"), [("plain", True), ("other", False)])
@pytest.mark.parametrize("mode", ["wlm; use slurm", "category; use login", "softwareimage; use dgx-image"])
def test_labels_that_nobody_saw(cluster11: InProcess, mode: str, value: str, same: bool) -> None:
    """bcm-facts §13 #6."""
    before = cluster11.run(f"{mode}; show")
    turn(cluster11, show_labels=value)
    assert (cluster11.run("show") == before) == same


@pytest.mark.parametrize("value", ["absent", "present"])
def test_hainfo(cluster: InProcess, value: str) -> None:
    """bcm-facts §13 #13."""
    turn(cluster, hainfo=value)
    cluster.run("main; hainfo")
    assert cluster.session.failed == (value == "absent")
    assert ("hainfo" in cluster.run("main; help")) == (value == "present")


@pytest.mark.parametrize(("value", "states"), [("on", {"x": ServiceState.UP}), ("off", {"x": ServiceState.DOWN})])
def test_services_of_a_role_start_or_are_only_listed(
    cluster: InProcess, value: str, states: dict[str, ServiceState]
) -> None:
    """bcm-facts §13 #15."""
    turn(cluster, role_services=value)
    cluster.run(f"{ROLES}; assign generic::x; set services x; commit")
    cluster.settled()
    assert cluster.daemon.nodes.runner.states("dgx-01") == states
    told = cluster.run("device services dgx-01; list -f service:8,monitored:10,autostart:10 -d '|'").splitlines()[2]
    assert told.split("|") == ["x       ", *[("yes" if value == "on" else "no").ljust(10)] * 2]
    cluster.run("use x; set autostart yes; commit")
    cluster.settled()
    assert cluster.daemon.nodes.runner.states("dgx-01") == {"x": ServiceState.UP}


@pytest.mark.parametrize(("value", "winner"), [("first", "a"), ("last", "b")])
def test_two_overlays_of_one_priority(cluster: InProcess, value: str, winner: str) -> None:
    """bcm-facts §13 #16."""
    for name in ("b", "a"):
        cluster.run(f"configurationoverlay; add {name}; set categories login; roles; assign generic::x; commit; home")
    turn(cluster, equal_priority=value)
    assert cluster.daemon.state.resolver.roles("login-01")["generic::x"].holder == winner
    cluster.run(f"configurationoverlay; set {winner} priority 400; commit")
    assert cluster.daemon.state.resolver.roles("login-01")["generic::x"].holder != winner
