"""The seeded image, and the sync of an image to a node against rsync's rules and BCM's exclude lists."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from bcm_jobstats.simulator.imagetree import seed_image, stand_ins, sync


def put(path: Path, text: str = "x", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    put(tmp_path / "image/etc/passwd", "root\n")
    put(tmp_path / "image/usr/bin/tool", "#!/bin/sh\n", 0o755)
    return tmp_path / "image"


@pytest.fixture
def node(image: Path) -> Path:
    target = image.parent / "node"
    sync(image, target, dry_run=False)
    return target


def snapshot(root: Path) -> dict[str, tuple[int, int, object]]:
    found: dict[str, tuple[int, int, object]] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        content: object = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        times = 0 if path.is_symlink() else status.st_mtime_ns
        found[path.relative_to(root).as_posix()] = (status.st_mode, times, content)
    return found


def test_the_first_sync_makes_a_copy_and_the_second_changes_nothing(tmp_path: Path) -> None:
    seed_image(tmp_path / "image")
    (tmp_path / "image/usr/bin/tool").symlink_to("/usr/bin/dcgm-exporter")
    changed = sync(tmp_path / "image", tmp_path / "node", dry_run=False)
    expected = snapshot(tmp_path / "image")
    del expected["cm/shared"], expected["home"]  # a mount point on the node; excluded as a whole
    assert snapshot(tmp_path / "node") == expected
    assert changed == sorted(changed)
    assert "etc/shadow" in changed
    assert sync(tmp_path / "image", tmp_path / "node", dry_run=False) == []


def test_what_the_image_lacks_is_deleted(image: Path, node: Path) -> None:
    """bcm-facts §6."""
    put(node / "usr/local/bin/old_exporter")
    put(node / "etc/extra")
    (node / "etc/dangling").symlink_to("/nowhere")
    changed = sync(image, node, dry_run=False)
    assert changed == ["etc/dangling", "etc/extra", "usr/local", "usr/local/bin", "usr/local/bin/old_exporter"]
    assert snapshot(node) == snapshot(image)


def test_a_link_out_of_the_tree_is_deleted_and_not_followed(image: Path, node: Path, tmp_path: Path) -> None:
    outside = put(tmp_path / "outside/precious")
    (node / "etc/out").symlink_to(outside.parent)
    assert sync(image, node, dry_run=False) == ["etc/out"]
    assert outside.exists()


@pytest.mark.parametrize(
    "path",
    [
        *("var/log/app/messages", "var/spool/job", "home/user/file", "root/.bash_history", "proc/1", "tmp/x"),
        *("etc/hostname", "etc/resolv.conf", "cm/local/apps/cmd/etc/cert.pem", "cm/shared/file", "run/gpustat/0"),
        *("etc/systemd/system/multi-user.target.wants/slurmd.service", "var/lib/systemd/random-seed"),
    ],
)
def test_excluded_paths_are_neither_deleted_nor_copied(image: Path, node: Path, path: str) -> None:
    """bcm-facts §6: the default lists."""
    put(node / path, "the node's")
    sync(image, node, dry_run=False)
    assert (node / path).read_text(encoding="utf-8") == "the node's"
    (node / path).unlink()
    put(image / path, "the image's")
    sync(image, node, dry_run=False)
    assert not (node / path).exists()


@pytest.mark.parametrize(
    "path", ["var/lib/app/data", "var/cache/x", "etc/systemd/system/multi-user.target.wants/y.service"]
)
def test_neighbours_of_excluded_paths_are_not_excluded(image: Path, node: Path, path: str) -> None:
    put(node / path)
    assert path in sync(image, node, dry_run=False)
    assert not (node / path).exists()


def test_no_new_files_are_updated_where_they_exist(image: Path, node: Path) -> None:
    put(image / "run/known", "new")
    put(image / "run/unknown", "new")
    put(node / "run/known", "old!")
    put(node / "run/own", "kept")
    sync(image, node, dry_run=False)
    found = {path.name: path.read_text(encoding="utf-8") for path in (node / "run").iterdir()}
    assert found == {"known": "new", "own": "kept"}


def test_a_directory_with_excluded_content_stays_without_the_rest(image: Path, node: Path) -> None:
    put(node / "var/spool/keep")
    put(node / "var/other")
    assert sync(image, node, dry_run=False) == ["var/other"]
    assert (node / "var/spool/keep").exists()


def test_a_dry_run_says_the_same_and_touches_nothing(image: Path, node: Path) -> None:
    put(image / "etc/new/deep/file")
    put(image / "usr/bin/tool", "#!/bin/sh\nchanged\n", 0o755)
    (image / "etc/passwd").chmod(0o600)
    put(node / "opt/old/file")
    (node / "etc/new").symlink_to(node / "opt")
    before = snapshot(node)
    told = sync(image, node, dry_run=True)
    assert snapshot(node) == before
    assert told == sync(image, node, dry_run=False)
    assert told == [
        *("etc/new", "etc/new/deep", "etc/new/deep/file", "etc/passwd", "opt", "opt/old", "opt/old/file"),
        "usr/bin/tool",
    ]


def test_modes_alone_are_a_change(image: Path, node: Path) -> None:
    (image / "etc/passwd").chmod(0o640)
    (image / "usr").chmod(0o750)
    assert sync(image, node, dry_run=False) == ["etc/passwd", "usr"]
    assert stat.S_IMODE((node / "usr").stat().st_mode) == 0o750


def test_types_may_change(image: Path, node: Path) -> None:
    (image / "etc/passwd").unlink()
    put(image / "etc/passwd/inner")
    (image / "usr/bin/tool").unlink()
    (image / "usr/bin").rmdir()
    (image / "usr/bin").symlink_to("/bin")
    sync(image, node, dry_run=False)
    assert snapshot(node) == snapshot(image)


def test_hard_links_stay_together(image: Path, node: Path) -> None:
    put(image / "usr/bin/first", "same")
    os.link(image / "usr/bin/first", image / "usr/bin/second")
    sync(image, node, dry_run=False)
    assert (node / "usr/bin/first").samefile(node / "usr/bin/second")
    assert not (node / "usr/bin/first").samefile(image / "usr/bin/first")
    assert sync(image, node, dry_run=False) == []


def test_a_running_program_is_replaced(image: Path, node: Path) -> None:
    sleep = Path("/bin/sleep").read_bytes()
    (image / "usr/bin/tool").write_bytes(sleep)
    sync(image, node, dry_run=False)
    with subprocess.Popen([str(node / "usr/bin/tool"), "60"]) as process:
        old = (node / "usr/bin/tool").stat().st_ino
        (image / "usr/bin/tool").write_bytes(sleep + b"\0")
        assert sync(image, node, dry_run=False) == ["usr/bin/tool"]
        assert (node / "usr/bin/tool").stat().st_ino != old
        assert process.poll() is None
        process.kill()


def test_a_missing_image_empties_no_node(image: Path, node: Path) -> None:
    with pytest.raises(NotADirectoryError):
        sync(image / "nothing", node, dry_run=False)
    assert (node / "etc/passwd").exists()


def test_the_seeded_image_is_a_site_before_us(tmp_path: Path) -> None:
    seed_image(tmp_path)
    users = {line.split(":")[0]: int(line.split(":")[2]) for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    assert {"root", "daemon", "slurm", "munge", "systemd-network"} <= set(users)
    assert len(set(users.values())) == len(users)
    shadow = (tmp_path / "etc/shadow").read_text(encoding="utf-8").splitlines()
    assert [line.split(":")[0] for line in shadow] == list(users)
    assert stat.S_IMODE((tmp_path / "etc/shadow").stat().st_mode) == 0o640
    assert all(line.count(":") == 8 for line in shadow)
    assert not (tmp_path / "etc/hostname").exists()
    assert list((tmp_path / "cm/shared").iterdir()) == []
    assert not [path for path in tmp_path.rglob("*") if "jobstats" in path.name]
    for name in ("node_exporter", "cgroup_exporter", "nvidia_gpu_exporter"):
        assert os.access(tmp_path / "usr/local/bin" / name, os.X_OK)


def test_stand_ins_are_told(tmp_path: Path) -> None:
    seed_image(tmp_path)
    told = set(stand_ins(tmp_path))
    assert {"usr/bin/dcgm-exporter", "usr/local/bin/cgroup_exporter", "usr/local/bin/nvidia_gpu_exporter"} <= told
    assert ("usr/local/bin/node_exporter" in told) != Path("/usr/bin/prometheus-node-exporter").exists()
    put(tmp_path / "usr/bin/dcgm-exporter", "#!/bin/sh\nexec the-real-one\n", 0o755)
    assert "usr/bin/dcgm-exporter" not in stand_ins(tmp_path)
