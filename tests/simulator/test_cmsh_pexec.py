"""`pexec`: shell commands on nodes that are directory trees (AM11 §14.1.2)."""

from __future__ import annotations

import pytest

from bcm_jobstats.simulator import cmd_pexec, shellish
from bcm_jobstats.simulator.inprocess import InProcess


@pytest.fixture
def trees(cluster: InProcess) -> InProcess:
    for name in ("dgx-01", "dgx-02"):
        (cluster.daemon.directory / "nodes" / name / "etc").mkdir(parents=True)
        (cluster.daemon.directory / "nodes" / name / "etc/hostname").write_text(f"{name}\n")
    return cluster


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("cat /etc/hostname", "dgx-01"),
        ("cd; cat ../etc/hostname", "dgx-01"),
        ("x=/etc; cat $x/hostname", "dgx-01"),
        ("test -e '/etc/hostname' && echo yes", "yes"),
        ("echo /etcetera /home/x/etc a/etc/b", "/etcetera /home/x/etc a/etc/b"),
        ("cat /usr/local/x", "No such file"),
        ("echo $HOSTNAME", "dgx-01"),
        ("echo error >&2", "error"),
    ],
)
def test_paths_of_a_node_are_in_its_tree(trees: InProcess, command: str, printed: str) -> None:
    told = trees.run(f'device; pexec -n dgx-01 "{command}"')
    assert told.startswith("\n[dgx-01] :\n") and printed in told


def test_every_node_is_told_of(trees: InProcess) -> None:
    trees.control(op="node", name="dgx-04", state="down")
    told = trees.run('device; pexec -c dgx-h100 "hostname >/dev/null; cat /etc/hostname"')
    assert told == (
        "\n[dgx-01] :\ndgx-01\n\n[dgx-02] :\ndgx-02\n"
        "\n[dgx-03] :\nsimulator: dgx-03 is a node on paper, it has no shell\n\n[dgx-04] :\ndgx-04 is down\n"
    )
    assert trees.run('pexec -l slurmserver "cat /etc/cm-release"') == "\n[bcm-head] :\nBCM v10.0\n"


@pytest.mark.parametrize("line", ["pexec ls", "pexec -n dgx-01", "pexec", 'pexec -n nosuch "ls"'])
def test_what_makes_no_sense_is_refused(trees: InProcess, line: str) -> None:
    trees.run(f"device; {line}")
    assert trees.session.failed


def test_a_command_that_does_not_end_is_ended(trees: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cmd_pexec, "SECONDS", 0.2)
    told = trees.run('device; pexec -n dgx-01 "echo begun; sleep 600 & sleep 600"')
    assert told == "\n[dgx-01] :\nbegun\nsimulator: did not end within 0.2 s\n"


def test_a_process_that_leaves_the_group_holds_nobody_up(trees: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cmd_pexec, "SECONDS", 0.2)
    monkeypatch.setattr(shellish, "GRACE", 0.1)
    assert "[dgx-01]" in trees.run('device; pexec -n dgx-01 "setsid sleep 2"')
