"""Whether a clone is whole: every way in which it may not be, and what is no fault of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bcm_jobstats.imaging import clonecheck


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "etc/deep/er").mkdir(parents=True)
    (root / "boot").mkdir()
    (root / "etc/deep/er/file").write_bytes(b"x" * 5000)
    (root / "etc/empty").touch()
    (root / "etc/link").symlink_to("deep")
    (root / "etc/dangling").symlink_to("/nowhere")
    (root / "boot/initrd").write_bytes(b"first")
    return root


@pytest.fixture
def clone(source: Path, tmp_path: Path) -> Path:
    subprocess.run(["cp", "-a", str(source), str(tmp_path / "clone")], check=True)
    return tmp_path / "clone"


def listens(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


FAULTS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "file missing": (lambda clone: (clone / "etc/deep/er/file").unlink(), ["/etc/deep/er/file is missing"]),
    "empty file missing": (lambda clone: (clone / "etc/empty").unlink(), ["/etc/empty is missing"]),
    "file cut": (
        lambda clone: os.truncate(clone / "etc/deep/er/file", 4096),
        ["/etc/deep/er/file has 4096 of 5000 bytes"],
    ),
    "mode": (lambda clone: (clone / "etc/empty").chmod(0o600), ["/etc/empty has another type or mode"]),
    "type": (lambda clone: _folder(clone / "etc/empty"), ["/etc/empty has another type or mode"]),
    "link elsewhere": (lambda clone: _relink(clone / "etc/link"), ["/etc/link leads elsewhere"]),
    "dangling link missing": (lambda clone: (clone / "etc/dangling").unlink(), ["/etc/dangling is missing"]),
    "nothing at all": (shutil.rmtree, ["{clone} is not there"]),
    "more than the source": (lambda clone: (clone / "etc/more").touch(), []),
    "a ramdisk made anew": (lambda clone: (clone / "boot/initrd").write_bytes(b"second one"), []),
    "same size, other bytes": (lambda clone: (clone / "etc/deep/er/file").write_bytes(b"y" * 5000), []),
    "nothing": (lambda clone: None, []),
}


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _relink(path: Path) -> None:
    path.unlink()
    path.symlink_to("elsewhere")


@pytest.mark.parametrize(("fault", "says"), FAULTS.values(), ids=FAULTS)
def test_what_is_not_whole_is_named(
    source: Path, clone: Path, fault: Callable[[Path], object], says: list[str]
) -> None:
    fault(clone)
    assert clonecheck.differences(source, clone) == [one.format(clone=clone) for one in says]


def test_a_socket_of_a_running_program_is_not_missed(source: Path, clone: Path) -> None:
    listens(source / "etc/socket")
    assert clonecheck.differences(source, clone) == []


def test_no_more_than_some_are_named(source: Path, clone: Path) -> None:
    shutil.rmtree(clone / "etc")
    assert len(clonecheck.differences(source, clone)) == clonecheck.SHOWN


def test_a_file_with_two_names_takes_its_room_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(os.urandom(1 << 20))
    once = clonecheck.allocated(tmp_path)
    assert once >= 1 << 20
    os.link(tmp_path / "one", tmp_path / "two")
    assert clonecheck.allocated(tmp_path) == once


def test_room_is_measured_where_the_images_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert clonecheck.free(tmp_path / "not/there/yet") > 0
    (tmp_path / "file").write_bytes(os.urandom(1 << 20))
    clonecheck.require_room(tmp_path, tmp_path)
    monkeypatch.setattr(clonecheck, "free", lambda path: 1 << 19)
    with pytest.raises(clonecheck.NoRoom):
        clonecheck.require_room(tmp_path, tmp_path)
