"""Two head nodes: cmha, redirects, failover, and what each head has of its own (bcm-facts §10)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.simulator import Simulator, SimulatorError
from bcm_jobstats.simulator.faults import DroppedError
from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.simulator.layout import HEADS, Layout, fresh

ONE, TWO = HEADS[2]
SET = "configurationoverlay; set slurm-client revision {}; commit"
GET = "configurationoverlay; get slurm-client revision"
# As AM10 ch. 17 shows it, the second half in the manner of the first (bcm-facts §10).
STATUS = """\
Node Status: running in active master mode
Failover status:
mycluster1* -> mycluster2
  failoverping  [  OK  ]
  mysql         [  OK  ]
  ping          [  OK  ]
  status        [  OK  ]
mycluster2 -> mycluster1*
  failoverping  [  OK  ]
  mysql         [  OK  ]
  ping          [  OK  ]
  status        [  OK  ]
"""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[InProcess]:
    made = InProcess(tmp_path, Layout(head=ONE, passive=TWO))
    yield made
    made.close()


def states(pair: InProcess) -> dict[str, str]:
    """What the heads' own state files say."""
    return {name: (root / "var/spool/cmd/state").read_text().strip() for name, root in pair.daemon.ha.roots.items()}


def test_cmha_status_prints_the_manuals_transcript(tmp_path: Path) -> None:
    """bcm-facts §10."""
    made = InProcess(tmp_path, Layout(head="mycluster1", passive="mycluster2"))
    assert made.cmha("status").out == STATUS
    passive = made.cmha("status", head="mycluster2").out.splitlines()
    assert passive[0] != STATUS.splitlines()[0] and passive[1:] == STATUS.splitlines()[1:]
    made.close()


def test_the_checks_fail_while_a_head_is_down(pair: InProcess) -> None:
    """bcm-facts §10: `mysql [FAILED] (11)`."""
    pair.control(op="head", name=TWO, state="down")
    out = pair.cmha("status").out
    assert "  mysql         [FAILED] (11)\n" in out and "  ping          [FAILED]\n" in out and "OK" not in out
    assert pair.cmha("status", head=TWO).status == 1
    assert "[  DOWN  ]" in pair.cmsh("-n", "-c", f"device status {TWO}").out
    pair.control(op="node", name=TWO, state="up")  # the order for nodes takes heads too
    assert "FAILED" not in pair.cmha("status").out


def test_one_head_is_no_pair(cluster: InProcess) -> None:
    answer = cluster.cmha("status")
    assert answer.status == 1 and "->" not in answer.out
    assert not (cluster.daemon.directory / "var/spool/cmd/state").exists()
    with pytest.raises(ValueError, match="one only"):
        cluster.control(op="failover")


@pytest.mark.parametrize("argv", [(), ("nosuch",), ("status", "x"), ("dbreclone", TWO), ("nodestatus", "nosuch")])
def test_cmha_refuses_what_it_cannot_do(pair: InProcess, argv: tuple[str, ...]) -> None:
    answer = pair.cmha(*argv)
    assert (answer.status, answer.out) == (1, "") and answer.err


def test_makeactive_makes_this_head_or_a_named_one_active(pair: InProcess) -> None:
    assert states(pair) == {ONE: "ACTIVE", TWO: "PASSIVE"}
    assert pair.cmha("makeactive", head=TWO).status == 0
    assert states(pair) == {ONE: "PASSIVE", TWO: "ACTIVE"}
    assert pair.cmha("makeactive", head=TWO).status == 0
    assert pair.cmha("makeactive", ONE, head=TWO).status == 0
    assert states(pair) == {ONE: "ACTIVE", TWO: "PASSIVE"}
    assert pair.cmha("nodestatus", TWO).out.startswith(TWO)
    pair.control(op="head", name=TWO, state="down")
    assert pair.cmha("makeactive", TWO).status == 1


def test_cmsh_on_the_passive_head_speaks_to_the_active_one(pair: InProcess) -> None:
    """bcm-facts §1.1, §10."""
    assert pair.cmsh("-n", "-c", SET.format(1), head=TWO).out == ""
    assert pair.cmsh("-n", "-c", GET).out == "1\n"


@pytest.mark.parametrize("option", ["-r", "--noredirect"])
def test_without_redirect_the_passive_head_reads_and_refuses_writes(pair: InProcess, option: str) -> None:
    pair.control(op="switch", name="exit_status", value="honest")
    assert pair.cmsh("-n", option, "-c", GET, head=TWO).out == "\n"
    for script in (SET.format(1), "device; imageupdate -w -c login", "softwareimage; updateprovisioners"):
        answer = pair.cmsh("-n", option, "-c", script, head=TWO)
        assert answer.status == 1 and len(answer.out.splitlines()) == 1
    assert pair.cmsh("-n", "-c", GET).out == "\n"
    assert pair.cmsh("-n", option, "-c", SET.format(1), head=ONE).status == 0


def test_overlays_for_all_heads_cover_both(pair: InProcess) -> None:
    loop = pair.cmsh("-n", "-c", "device; foreach -l slurmserver (get hostname)").out
    assert [line for line in loop.splitlines() if line] == [ONE, TWO]
    assert len({pair.daemon.state.table("device")[name].values["ip"] for name in (ONE, TWO)}) == 2


@pytest.mark.parametrize(("nodes", "logins"), [(252, 0), (250, 2), (253, 0), (254, 0), (2000, 3)])
def test_no_node_has_the_address_of_a_head(nodes: int, logins: int) -> None:
    devices = fresh(Layout(nodes=nodes, logins=logins, head=ONE, passive=TWO)).table("device").values()
    assert len({device.values["ip"] for device in devices}) == nodes + logins + 2
    assert len({device.values["mac"] for device in devices}) == nodes + logins + 2


def test_failover_cuts_the_sessions_of_the_old_head(pair: InProcess) -> None:
    pair.run("configurationoverlay; set slurm-client revision lost")
    assert pair.control(op="failover") == {"active": TWO, "states": {ONE: "PASSIVE", TWO: "ACTIVE"}}
    with pytest.raises(DroppedError):
        pair.run("commit")
    assert pair.cmsh("-n", "-c", GET, head=ONE).out == "\n"
    assert pair.new_session().prompt().startswith(f"[{TWO}]")


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("when", "kept"), [("before", "1\n"), ("after", "2\n")])
def test_failover_at_the_nth_commit(pair: InProcess, when: str, kept: str, crash: bool) -> None:
    pair.control(op="fault", kind="failover_at_commit", nth=2, when=when, crash=crash)
    assert pair.cmsh("-n", "-c", SET.format(1)).status == 0
    assert pair.cmsh("-n", "-c", SET.format(2) + "; device; list").status is None
    assert pair.daemon.head == TWO
    assert pair.cmsh("-n", "-c", GET, head=TWO).out == kept
    old = pair.cmsh("-n", "-c", GET, head=ONE)
    assert ("Unable" in old.err) if crash else (old.out == kept)
    assert states(pair) == {ONE: "ACTIVE" if crash else "PASSIVE", TWO: "ACTIVE"}  # a dead head writes nothing


def test_no_head_is_active_until_the_failover(pair: InProcess) -> None:
    pair.control(op="head", name=ONE, state="down")
    for head in (ONE, TWO):
        answer = pair.cmsh("-n", "-c", GET, head=head)
        assert answer.out == "" and "Unable" in answer.err
    assert pair.cmsh("-n", "-r", "-c", GET, head=TWO).out == "\n"
    pair.control(op="failover")
    assert pair.cmsh("-n", "-c", SET.format(1), head=TWO).out == ""
    with pytest.raises(ValueError, match="is down"):
        pair.control(op="failover", to=ONE)
    pair.control(op="head", name=ONE, state="up")
    assert states(pair) == {ONE: "PASSIVE", TWO: "ACTIVE"}
    assert pair.cmsh("-n", "-c", GET, head=ONE).out == "1\n"


def test_connect_says_that_no_head_is_active(pair: InProcess) -> None:
    pair.control(op="failover", held=True)
    assert "Unable" in pair.cmsh("-n", "-r", "-c", "disconnect; connect", head=TWO).out
    pair.control(op="failover")
    assert pair.cmsh("-n", "-c", f"disconnect; connect; {GET}", head=TWO).out == "\n"


def test_a_head_that_was_down_for_a_moment_stays_active(pair: InProcess) -> None:
    pair.control(op="head", name=ONE, state="down")
    pair.control(op="head", name=ONE, state="up")
    assert states(pair)[ONE] == "ACTIVE" and pair.cmsh("-n", "-c", GET).status == 0


@pytest.mark.parametrize("to", [ONE, TWO])
def test_a_failover_can_be_held_half_way(pair: InProcess, to: str) -> None:
    pair.control(op="failover", held=True)
    assert states(pair) == {ONE: "BECOMEPASSIVE", TWO: "BECOMEACTIVE"}
    assert "Unable" in pair.cmsh("-n", "-c", GET, head=TWO).err
    pair.control(op="failover", to=to)
    assert sorted(states(pair).values()) == ["ACTIVE", "PASSIVE"] and states(pair)[to] == "ACTIVE"
    assert pair.cmsh("-n", "-c", GET).out == "\n"


@pytest.mark.parametrize(
    "order",
    [
        {"op": "head", "name": "nosuch", "state": "up"},
        {"op": "head", "name": ONE, "state": "sideways"},
        {"op": "failover", "to": "nosuch"},
        {"op": "fault", "kind": "failover_at_commit", "when": "during"},
    ],
)
def test_orders_that_make_no_sense_are_refused(pair: InProcess, order: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="simulator"):
        pair.control(**order)


def image(pair: InProcess, head: str) -> Path:
    return pair.daemon.ha.root(head) / "cm/images/dgx-image"


def test_images_of_the_passive_head_follow_when_told(pair: InProcess) -> None:
    (image(pair, ONE) / "new").write_text("1")
    (image(pair, ONE) / "etc/group").unlink()
    pair.cmsh("-n", "-c", "device; imageupdate -n dgx-01")  # a dry run changes nothing
    pair.settled()
    assert not (image(pair, TWO) / "new").exists()
    pair.cmsh("-n", "-c", "softwareimage; updateprovisioners")
    pair.settled()
    assert (image(pair, TWO) / "new").exists() and not (image(pair, TWO) / "etc/group").exists()
    (image(pair, ONE) / "newer").touch()
    pair.cmsh("-n", "-c", "device; imageupdate -w --wait -n dgx-01")
    assert (image(pair, TWO) / "newer").exists()


def test_after_a_failover_the_images_are_those_of_the_new_head(pair: InProcess) -> None:
    (image(pair, ONE) / "new").touch()
    pair.control(op="failover")
    pair.cmsh("-n", "-c", "softwareimage; updateprovisioners")
    pair.settled()
    assert not (image(pair, ONE) / "new").exists()


def test_a_cloned_and_removed_image_on_both_heads(pair: InProcess) -> None:
    pair.cmsh("-n", "-c", "softwareimage; clone dgx-image other; commit -w; updateprovisioners")
    pair.settled()
    assert all((pair.daemon.ha.root(head) / "cm/images/other/etc/passwd").is_file() for head in (ONE, TWO))
    pair.cmsh("-n", "-c", "softwareimage; remove -d other; commit; updateprovisioners")
    pair.settled()
    assert not any((pair.daemon.ha.root(head) / "cm/images/other").exists() for head in (ONE, TWO))


def test_a_passive_head_that_is_down_gets_no_images(pair: InProcess) -> None:
    pair.control(op="head", name=TWO, state="down")
    (image(pair, ONE) / "new").touch()
    pair.cmsh("-n", "-c", "softwareimage; updateprovisioners; device; imageupdate -w --wait -n dgx-01")
    pair.settled()
    assert not (image(pair, TWO) / "new").exists()


@pytest.mark.parametrize("heads", [1, 2])
def test_a_fresh_change_of_an_image_is_missed_unless_the_provisioners_know(tmp_path: Path, heads: int) -> None:
    """bcm-facts §6, §11 #19."""
    layout = Layout(head=ONE, passive=TWO) if heads == 2 else Layout()
    made = InProcess(tmp_path, layout, {"provisioners": "dirty"})
    sent = made.daemon.provisioners.source
    path = "/cm/images/dgx-image"
    (tmp_path / "cm/images/dgx-image/one").touch()
    made.cmsh("-n", "-c", "device; imageupdate -w --wait -n dgx-01")
    assert not (sent(path) / "one").exists()
    made.control(op="clock", advance=299)
    made.cmsh("-n", "-c", "device; imageupdate -w --wait -n dgx-01")
    assert not (sent(path) / "one").exists()
    made.control(op="clock", advance=2)
    made.cmsh("-n", "-c", "device; imageupdate -w --wait -n dgx-01")
    assert (sent(path) / "one").exists()
    (tmp_path / "cm/images/dgx-image/two").touch()
    made.cmsh("-n", "-c", "softwareimage; updateprovisioners; device; imageupdate -w --wait -n dgx-01")
    assert (sent(path) / "two").exists()
    made.control(op="switch", name="provisioners", value="always")
    assert sent(path) == tmp_path / path.lstrip("/")
    made.control(op="switch", name="provisioners", value="dirty")
    made.close()


def shared(pair: InProcess) -> dict[str, bool]:
    """On which heads a file of the shared storage is seen."""
    return {name: (root / "cm/shared/file").exists() for name, root in pair.daemon.ha.roots.items()}


def test_shared_storage_is_mounted_on_both_heads(pair: InProcess) -> None:
    """bcm-facts §10."""
    (pair.daemon.ha.root(TWO) / "cm/shared/file").touch()
    assert shared(pair) == {ONE: True, TWO: True}
    pair.control(op="failover")
    assert shared(pair) == {ONE: True, TWO: True}


def test_direct_attached_storage_is_the_active_heads(tmp_path: Path) -> None:
    made = InProcess(tmp_path, Layout(head=ONE, passive=TWO), {"shared_storage": "das"})
    (tmp_path / "cm/shared/file").touch()
    beneath = made.daemon.ha.root(TWO) / "cm/shared"
    assert shared(made) == {ONE: True, TWO: False} and not list(beneath.iterdir())
    (beneath / "hidden").touch()
    made.control(op="failover")
    assert shared(made) == {ONE: False, TWO: True} and not (beneath / "hidden").exists()
    made.control(op="failover", held=True)
    assert shared(made) == {ONE: False, TWO: False} and (beneath / "hidden").exists()
    made.control(op="failover")
    assert shared(made) == {ONE: True, TWO: False}
    made.close()


# With a daemon and the real commands of both heads.


def tool(root: Path, name: str, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([root / "bin" / name, *argv], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    started = Simulator.start(tmp_path / "head", node_kind="paper", heads=2)
    yield started
    started.stop()


def test_two_heads_start_fail_over_and_go_on(simulator: Simulator) -> None:
    heads = simulator.heads()
    assert list(heads) == [ONE, TWO] and heads[ONE] == simulator.directory and simulator.active == ONE
    for root in heads.values():
        assert tool(root, "cmsh", "-n", "-c", "device get dgx-01 category").stdout == "dgx-h100\n"
        assert (root / "cm/local/apps/cmd/bin/cmsh").resolve() == (root / "bin/cmsh").resolve()
        assert (root / "cm/images/dgx-image/etc/passwd").is_file() and (root / "etc/cm-release").is_file()
    assert (heads[TWO] / "cm/shared").resolve() == heads[ONE] / "cm/shared"
    assert [(root / "etc/hostname").read_text().strip() for root in heads.values()] == [ONE, TWO]
    (heads[ONE] / "usr/local/own").touch()
    assert not (heads[TWO] / "usr/local/own").exists()
    assert tool(heads[TWO], "cmha", "makeactive").returncode == 0
    assert simulator.active == TWO and simulator.status()["heads"] == {ONE: "PASSIVE", TWO: "ACTIVE"}
    assert f"{ONE} -> {TWO}*" in tool(heads[ONE], "cmha", "status").stdout
    simulator.stop()
    assert "Unable" in tool(heads[TWO], "cmha", "status").stderr
    again = Simulator.start(simulator.directory)
    assert again.active == TWO and list(again.heads()) == [ONE, TWO]
    assert "active master" in tool(heads[TWO], "cmha", "status").stdout


def test_cmsh_runs_its_own_heads_files(simulator: Simulator) -> None:
    for name, root in simulator.heads().items():
        (root / "root/.cmshrc").write_text(f"!echo {name}\n")
        assert tool(root, "cmsh", "-c", "device get dgx-01 category").stdout == f"{name}\ndgx-h100\n"


@pytest.mark.parametrize("kind", ["hang_commit", "hang_connect"])
def test_a_session_that_hangs_is_cut_at_once_and_commits_nothing(simulator: Simulator, kind: str) -> None:
    simulator.control({"op": "fault", "kind": kind})
    command = [str(simulator.cmsh), "-n", "-c", SET.format(1)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        if kind == "hang_connect":  # it was not connected to anybody yet: it is served by the new head
            simulator.control({"op": "failover"})
            simulator.control({"op": "release"})
            assert process.communicate(timeout=60)[1] == ""
        else:
            simulator.control({"op": "failover"})
            assert "lost" in process.communicate(timeout=60)[1]
            simulator.control({"op": "release"})
    simulator.control({"op": "wait_idle"})
    log = simulator.control({"op": "log"})["result"]
    assert sum("commit" in entry for entry in log) == (kind == "hang_connect")


def test_there_are_one_or_two_heads(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match="one head node or two"):
        Simulator.start(tmp_path / "x", heads=3)
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_nodes_get_what_the_active_head_provisions(tmp_path: Path) -> None:
    started = Simulator.start(tmp_path, nodes=1, logins=0, heads=2, switches={"shared_storage": "das"})
    try:
        node = tmp_path / "nodes/dgx-01"
        other = started.heads()[TWO]
        (other / "cm/images/dgx-image/etc/of-two").touch()
        started.control({"op": "failover", "crash": True})
        assert tool(other, "cmsh", "-n", "-c", "device; imageupdate -w --wait -n dgx-01").returncode == 0
        assert (node / "etc/of-two").exists()
        (other / "cm/shared/file").touch()
        assert (node / "cm/shared/file").exists()
        assert json.loads((tmp_path / "cmd/ha.json").read_text()) == {"active": TWO}
    finally:
        started.stop()
