"""Files that generic roles bring to nodes and heads (bcm-facts §3.2)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bcm_jobstats.simulator import Simulator
from bcm_jobstats.simulator.inprocess import InProcess

ROLE = "configurationoverlay; add x; set categories dgx-h100; set allheadnodes yes; roles; assign generic::x"
ENTRY = 'configurations; add static conf; set filename /etc/x/x.conf; set content "a = 1"; set filemask 0640'


@pytest.fixture
def trees(cluster: InProcess) -> dict[str, Path]:
    """dgx-01 and login-01 have files, the head has its own; the other nodes are on paper."""
    root = cluster.daemon.directory
    for name in ("dgx-01", "login-01"):
        (root / "nodes" / name / "etc").mkdir(parents=True)
    return {"bcm-head": root, **{name: root / "nodes" / name for name in ("dgx-01", "login-01")}}


def test_a_file_comes_with_the_commit_to_the_nodes_of_the_role(cluster: InProcess, trees: dict[str, Path]) -> None:
    cluster.run(f"{ROLE}; {ENTRY}")
    cluster.settled()
    assert not (trees["dgx-01"] / "etc/x").exists()
    cluster.run("commit")
    cluster.settled()
    for name in ("dgx-01", "bcm-head"):
        file = trees[name] / "etc/x/x.conf"
        assert (file.read_text(), file.stat().st_mode & 0o777) == ("a = 1", 0o640)
    assert not (trees["login-01"] / "etc/x").exists()


def test_a_change_reaches_the_nodes_and_local_edits_are_overwritten(cluster: InProcess, trees: dict[str, Path]) -> None:
    cluster.run(f"{ROLE}; {ENTRY}; commit; set content b; set filemask 0600; commit")
    cluster.settled()
    file = trees["dgx-01"] / "etc/x/x.conf"
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("b", 0o600)
    file.write_text("edited")
    cluster.run("set content c; commit")
    cluster.settled()
    assert file.read_text() == "c"


@pytest.mark.parametrize(("value", "stays"), [("keep", True), ("delete", False)])
@pytest.mark.parametrize("how", ["remove conf", "home; configurationoverlay; set x categories login"])
def test_what_becomes_of_the_file_is_a_switch(
    cluster: InProcess, trees: dict[str, Path], value: str, stays: bool, how: str
) -> None:
    cluster.control(op="switch", name="configuration_removal", value=value)
    cluster.run(f"{ROLE}; {ENTRY}; commit; exit")
    cluster.settled()
    cluster.run(f"{how}; commit")
    cluster.settled()
    assert (trees["dgx-01"] / "etc/x/x.conf").exists() == stays


@pytest.mark.parametrize(
    ("settings", "written"),
    [("set disabled yes", False), ("set createdirectory no", False), ("set filename /etc/../../x", False),
     ("set filename etc/x", False), ("set filename /etc/y; set createdirectory no", True)],
)  # fmt: skip
def test_some_entries_write_nothing(cluster: InProcess, trees: dict[str, Path], settings: str, written: bool) -> None:
    before = {path for path in trees["dgx-01"].parent.rglob("*") if path.is_file()}
    cluster.run(f"{ROLE}; {ENTRY}; {settings}; commit")
    cluster.settled()
    after = {path for path in trees["dgx-01"].parent.rglob("*") if path.is_file()}
    assert bool(after - before) == written


def test_files_wait_for_imageupdate_by_the_switch(cluster: InProcess, trees: dict[str, Path]) -> None:
    cluster.control(op="switch", name="services_follow", value="imageupdate")
    cluster.run(f"{ROLE}; {ENTRY}; commit")
    cluster.settled()
    assert not (trees["dgx-01"] / "etc/x/x.conf").exists()
    cluster.run("device; imageupdate -n dgx-01 -w --wait")
    assert (trees["dgx-01"] / "etc/x/x.conf").read_text() == "a = 1"


@pytest.mark.slow
def test_a_running_node_keeps_its_file_over_imageupdate(tmp_path: Path) -> None:
    simulator = Simulator.start(tmp_path, nodes=1, logins=0)

    def cmsh(script: str) -> str:
        done = subprocess.run(
            [simulator.cmsh, "-n", "--hide-events", "-c", script],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    try:
        cmsh(f"{ROLE}; {ENTRY}; commit")
        simulator.control({"op": "wait_idle"})
        assert cmsh('device; pexec -l generic::x "cat /etc/x/x.conf; echo"') == (
            "\n[bcm-head] :\na = 1\n\n[dgx-01] :\na = 1\n"
        )
        cmsh("device; imageupdate -c dgx-h100 -w --wait")
        assert (tmp_path / "nodes/dgx-01/etc/x/x.conf").read_text() == "a = 1"
        assert "/etc/x/x.conf" in cmsh("device; use dgx-01; filewriteinfo")
    finally:
        simulator.stop()
