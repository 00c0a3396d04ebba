"""`power`, `reboot` and `shutdown` (AM11 §4.2.3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.bcm.cmsh import process
from bcm_jobstats.simulator import pki
from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.simulator.noderunner import ServiceState
from tests.harness import cluster as process_cluster
from tests.harness import cmsh, until


@pytest.fixture
def powered(cluster: InProcess) -> Iterator[InProcess]:
    """Nodes on paper that run a service each."""
    cluster.run("category; use dgx-h100; services; add cups; set autostart yes; commit; home; device")
    cluster.settled()
    yield cluster


def service(cluster: InProcess, node: str = "dgx-01") -> object:
    return cluster.daemon.nodes.service_states(node).get("cups")


def test_the_manuals_lines(powered: InProcess) -> None:
    """AM11 §4.2.3: the power of each node on a line, here without a power distribution unit's port."""
    assert powered.run("power -n dgx-01,dgx-03..dgx-04 -d 0.01 off") == (
        "simulated ........... [  OFF   ] dgx-01\n"
        "simulated ........... [  OFF   ] dgx-03\n"
        "simulated ........... [  OFF   ] dgx-04\n"
    )
    assert powered.run("power status -c dgx-h100") == (
        "simulated ........... [  OFF   ] dgx-01\n"
        "simulated ........... [   ON   ] dgx-02\n"
        "simulated ........... [  OFF   ] dgx-03\n"
        "simulated ........... [  OFF   ] dgx-04\n"
    )
    assert powered.run("power on dgx-01") == "simulated ........... [   ON   ] dgx-01\n"
    assert powered.run("power -n dgx-01 reset") == "simulated ........... [ RESET  ] dgx-01\n"
    assert powered.run("power status").count("\n") == 5  # every node, of which one is a login node
    assert powered.run("use dgx-02; power status") == "simulated ........... [   ON   ] dgx-02\n"


@pytest.mark.parametrize("off", ["power off dgx-01", "shutdown -n dgx-01"])
def test_a_node_that_is_off_is_down_and_comes_back_with_its_services(powered: InProcess, off: str) -> None:
    powered.run(off)
    powered.settled()
    assert (powered.run("status dgx-01"), service(powered)) == ("dgx-01 .............. [  DOWN  ]\n", None)
    assert service(powered, "dgx-02") is ServiceState.UP
    powered.run("power on dgx-01")
    assert (powered.run("status dgx-01"), service(powered)) == ("dgx-01 .............. [   UP   ]\n", ServiceState.UP)


@pytest.mark.parametrize(("again", "told"), [("reboot", "Reboot in progress for: dgx-01\n"), ("power reset", None)])
def test_a_boot_ends_what_was_stopped_and_the_need_of_a_restart(
    powered: InProcess, again: str, told: str | None
) -> None:
    powered.run("set dgx-01 softwareimage default-image; commit; services dgx-01; stop cups; home; device")
    assert "restart-required" in powered.run("status dgx-01")
    assert service(powered) is ServiceState.STOPPED
    answer = powered.run(f"{again} dgx-01")
    assert told is None or answer == told
    powered.settled()
    assert powered.run("status dgx-01") == "dgx-01 .............. [   UP   ]\n"
    assert service(powered) is ServiceState.UP


def test_power_on_leaves_a_node_that_is_on_alone(powered: InProcess) -> None:
    powered.run("services dgx-01; stop cups; home; device; power on dgx-01")
    assert service(powered) is ServiceState.STOPPED


@pytest.mark.parametrize(
    "line",
    ["power", "power off", "power history", "power on --at 23:55 dgx-01", "power off nosuch", "power off bcm-head",
     "reboot", "reboot bcm-head", "shutdown", "home; power status", "category; reboot dgx-01"],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(powered: InProcess, line: str) -> None:
    powered.run(line)
    assert powered.session.failed
    assert powered.daemon.nodes.down == set()


TOKENS = {
    "power status": "POWER_STATUS",
    "power on dgx-01": "POWER_ON",
    "power off dgx-01": "POWER_OFF",
    "power reset dgx-01": "POWER_CYCLE",
    "reboot dgx-01": "REBOOT_NODE",
    "shutdown dgx-01": "SHUTDOWN_NODE",
}


@pytest.mark.parametrize("line", TOKENS)
def test_each_operation_has_a_token(powered: InProcess, line: str) -> None:
    """AM11 Table J."""
    pki.prepare(powered.daemon.directory, ("bcm-head",))
    told = " ".join(f"{token}_TOKEN" for token in TOKENS.values())
    powered.run(f"home; profile; add deploy; set tokens {told}; commit; home; cert")
    powered.run('createcertificate 2048 x "" "" "" "" "" deploy "" 365 /root/.cm/cert.key /root/.cm/cert.pem; home')
    words = ("-n", "-i", "/root/.cm/cert.pem", "-k", "/root/.cm/cert.key", "-c", f"device; {line}")
    assert "does not allow" not in powered.cmsh(*words).out
    powered.run(f"profile; use deploy; removefrom tokens {TOKENS[line]}_TOKEN; commit")
    call = "".join(word.capitalize() for word in TOKENS[line].split("_"))
    assert f"does not allow access to CMDevice::{call[0].lower()}{call[1:]}" in powered.cmsh(*words).out


@pytest.mark.slow
def test_the_services_of_a_process_node_follow_its_power(tmp_path: Path) -> None:
    with process_cluster(tmp_path / "head", nodes=1, logins=0, node_kind="process") as simulator:

        def did(line: str) -> str:
            return process.run(simulator.cmsh, [f"device; {line}"], 30.0).text

        def up() -> bool:
            return bool(simulator.control({"op": "services", "node": "dgx-01"})["result"].get("x") == "UP")

        unit = simulator.directory / "cm/images/dgx-image/etc/systemd/system/x.service"
        unit.write_text("[Service]\nExecStart=/bin/sleep 1000\n", encoding="utf-8")
        cmsh(simulator, "device; services dgx-01; add x; set autostart yes; commit")
        assert "in progress" in did("reboot dgx-01")
        until(up, what="the unit of the image runs")
        own = simulator.directory / "nodes/dgx-01/etc/of-the-node"
        own.touch()
        assert "OFF" in did("power off dgx-01")
        assert not up()
        assert "ON" in did("power on dgx-01")
        assert up() and not own.exists()
        did("shutdown dgx-01")
        until(lambda: "OFF" in did("power status dgx-01"))
        assert not up()
