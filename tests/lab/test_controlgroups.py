"""Which process is a container's process 1, told from those beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcm_jobstats.simulator.lab import controlgroups
from bcm_jobstats.simulator.lab.controlgroups import ControlGroups

NODE = "dgx-01"


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The groups of a node on a machine with cgroup v2 alone, as files."""
    monkeypatch.setattr(controlgroups, "MOUNT", tmp_path / "cgroup")
    monkeypatch.setattr(controlgroups, "PROC", tmp_path / "proc")
    node = tmp_path / "cgroup" / ControlGroups(tmp_path).name / NODE
    node.mkdir(parents=True)
    (tmp_path / "cgroup/cgroup.controllers").touch()
    return node


def put(group: Path, processes: dict[int, str]) -> None:
    """A group of processes, with what /proc tells of their numbers in each namespace; empty for one that has ended."""
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text("".join(f"{process}\n" for process in processes))
    for process, numbers in processes.items():
        if numbers:
            file = controlgroups.PROC / str(process) / "status"
            file.parent.mkdir(parents=True)
            file.write_text(f"Name:\tsystemd\nPid:\t{process}\nNSpid:\t{numbers}\nNSpgid:\t1\n")


@pytest.mark.parametrize(
    ("processes", "first"),
    [
        ({571: "571\t5\t1"}, 571),
        ({586: "586\t20\t15", 571: "571\t5\t1"}, 571),  # systemd 257 starts what it is about to move away
        ({586: "", 571: "571\t5\t1"}, 571),
        ({586: "586\t20\t11"}, None),
        ({586: ""}, None),
        ({}, None),
    ],
    ids=["alone", "with a child", "with one that has ended", "only a child", "all have ended", "none"],
)
def test_process_1_is_told_by_its_number_inside(
    groups: Path, tmp_path: Path, processes: dict[int, str], first: int | None
) -> None:
    put(groups / "init.scope", processes)
    assert ControlGroups(tmp_path).init(NODE) == first


def test_a_users_systemd_is_not_process_1(groups: Path, tmp_path: Path) -> None:
    put(groups / "user.slice/user@2001.service/init.scope", {600: "600\t30\t25"})
    put(groups / "init.scope", {571: "571\t5\t1"})
    assert ControlGroups(tmp_path).init(NODE) == 571


def test_before_the_container_is_there_is_none(groups: Path, tmp_path: Path) -> None:
    put(groups / "system.slice", {571: "571\t5\t1"})
    assert ControlGroups(tmp_path).init(NODE) is None
    assert ControlGroups(tmp_path).init("dgx-02") is None
