"""The seeded image, and the sync of an image to a node by rsync, and by what stands in for it, with BCM's lists."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from bcm_jobstats.simulator import treesync
from bcm_jobstats.simulator.excludelists import DEFAULTS, Rules, rules
from bcm_jobstats.simulator.imagetree import seed_image, stand_ins
from bcm_jobstats.simulator.noderunner import UPDATE
from bcm_jobstats.simulator.treesync import changed, sync_tree


@pytest.fixture(params=["rsync", "stand-in"], autouse=True)
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What makes the syncs."""
    if request.param == "rsync" and not treesync.has_rsync():
        pytest.skip("no rsync here")
    monkeypatch.setattr(treesync, "has_rsync", lambda: request.param == "rsync")
    return str(request.param)


def sync(image: Path, node: Path, *, dry_run: bool, rules: Rules = UPDATE) -> list[str]:
    return changed(sync_tree(image, node, rules, dry_run=dry_run))


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
    """Without the times of links and directories: what is copied into one later changes these."""
    found: dict[str, tuple[int, int, object]] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        content: object = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        times = status.st_mtime_ns if path.is_file() and not path.is_symlink() else 0
        found[path.relative_to(root).as_posix()] = (status.st_mode, times, content)
    return found


def test_the_first_sync_makes_a_copy_and_the_second_changes_nothing(tmp_path: Path) -> None:
    seed_image(tmp_path / "image")
    (tmp_path / "image/usr/bin/tool").symlink_to("/usr/bin/dcgm-exporter")
    told = sync(tmp_path / "image", tmp_path / "node", dry_run=False)
    expected = snapshot(tmp_path / "image")
    del expected["cm/shared"]  # a mount point on the node
    assert snapshot(tmp_path / "node") == expected
    assert told == sorted(told)
    assert "etc/shadow" in told
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


PLAIN = (
    *("var/log/app/messages", "var/spool/job", "home/user/file", "root/.bash_history", "tmp/x", "etc/hostname"),
    *("etc/resolv.conf", "cm/local/apps/cmd/etc/cert.pem", "data/set/1", "root/.ssh/known_hosts"),
    *("etc/systemd/system/multi-user.target.wants/slurmd.service", "var/lib/nfs/state", "etc/rc.d/rc3.d/S90slurm"),
    *("var/lib/dhclient/lease", "usr/lib/modules/5.14/kernel/drivers/video/nvidia-drm.ko"),
)
FORBIDDING = (
    *("proc/1", "run/gpustat/0", "cm/shared/file", "var/lib/sss/db/cache", "var/lib/systemd/random-seed"),
    *("cm/images/other/etc/passwd", "opt/lost+found/1", "dev/null2"),
)


def test_what_is_excluded_is_neither_changed_nor_deleted(image: Path, node: Path) -> None:
    """bcm-facts §6: the default list of an update."""
    for path in (*PLAIN, *FORBIDDING):
        put(node / path, "the node's")
    assert sync(image, node, dry_run=False) == []
    for path in (*PLAIN, *FORBIDDING):
        put(image / path, "the image's")
    sync(image, node, dry_run=False)
    assert {(node / path).read_text(encoding="utf-8") for path in (*PLAIN, *FORBIDDING)} == {"the node's"}


def test_what_is_excluded_and_missing_is_copied_unless_new_files_are_forbidden(image: Path, node: Path) -> None:
    """The comments in the lists of bcm-facts' source TF say so."""
    for path in (*PLAIN, *FORBIDDING):
        put(image / path, "the image's")
    before = snapshot(node)
    told = sync(image, node, dry_run=True)
    assert snapshot(node) == before
    assert sync(image, node, dry_run=False) == told
    assert [path for path in (*PLAIN, *FORBIDDING) if path in told] == list(PLAIN)
    assert [path for path in (*PLAIN, *FORBIDDING) if (node / path).exists()] == list(PLAIN)
    assert sync(image, node, dry_run=False) == []


def test_what_is_there_keeps_its_mode_where_something_is_copied_beside_it(image: Path, node: Path) -> None:
    put(node / "home/alice/own").parent.chmod(0o700)
    put(image / "home/alice/new/file").parent.parent.chmod(0o755)
    assert sync(image, node, dry_run=False) == ["home/alice/new", "home/alice/new/file"]
    assert stat.S_IMODE((node / "home/alice").stat().st_mode) == 0o700


@pytest.mark.parametrize("word", ["full", "grab", "grabnew"])
def test_other_lists_exclude_altogether(image: Path, node: Path, word: str) -> None:
    """bcm-facts §6: what these name is not installed, or not taken along."""
    fields = {"full": "excludelistfullinstall", "grab": "excludelistgrab", "grabnew": "excludelistgrabnew"}
    told = rules(word, DEFAULTS[fields[word]])
    for path in ("proc/x", "sys/y"):
        put(image / path)
    put(node / "proc/own")
    (node / "sys").mkdir()
    sync(image, node, dry_run=False, rules=told)
    assert not (node / "proc/x").exists() and not (node / "sys/y").exists() and (node / "proc/own").exists()


def test_rules_are_rsyncs(image: Path, node: Path) -> None:
    """rsync(1), FILTER RULES: the first that matches counts; a slash at the end means directories."""
    told = rules("grab", "# a note\n\n+ /opt/kept/*.txt\n- /opt/kept/*\n- *.bak\n- cache/\n/opt/bare\n- /srv/**/deep\n")
    for path in ("opt/kept/a.txt", "opt/kept/b.dat", "opt/x.bak", "opt/a/cache/1", "opt/a/b/cache", "opt/bare"):
        put(image / path)
    put(image / "srv/a/b/deep")
    sync(image, node, dry_run=False, rules=told)
    found = {path.relative_to(node).as_posix() for path in node.rglob("*") if path.is_file()}
    assert found - {"etc/passwd", "usr/bin/tool"} == {"opt/kept/a.txt", "opt/a/b/cache"}


def test_odd_names_are_told(image: Path, node: Path) -> None:
    odd = ["etc/two words", "etc/a -> b", "etc/[x]*", "etc/new\nline", "etc/höhe"]
    for path in odd:
        put(image / path)
    (image / "etc/link").symlink_to("two words")
    assert sync(image, node, dry_run=True) == sorted([*odd, "etc/link"])


def test_what_is_the_same_need_not_be_looked_at(image: Path, node: Path) -> None:
    for name in ("[x]*", "same"):
        put(image / f"etc/{name}/file", "new")
        put(node / f"etc/{name}/file", "old!")
    names = {"": {"etc"}, "etc": {"[x]*"}, "etc/[x]*": {"file", "gone"}}
    put(node / "etc/[x]*/gone")
    put(node / "opt/more")
    told = changed(sync_tree(image, node, UPDATE, differing=lambda path: names[path]))
    assert [path for path in told if path not in ("etc", "etc/[x]*")] == ["etc/[x]*/file", "etc/[x]*/gone"]
    assert (node / "etc/same/file").read_text() == "old!"


def test_itemized_lines_tell_what_is_done(image: Path, node: Path) -> None:
    put(image / "etc/new")
    put(node / "etc/old")
    (image / "usr/bin/tool").chmod(0o700)
    lines = [line for line in sync_tree(image, node, UPDATE, dry_run=True) if not line.startswith(".d..t")]
    assert sorted(lines) == ["*deleting   etc/old", ".f...p..... usr/bin/tool", ">f+++++++++ etc/new"]


def test_a_sync_that_breaks_off_is_an_error(image: Path, tmp_path: Path) -> None:
    put(tmp_path / "file")
    with pytest.raises(OSError, match=r"[Nn]ot a directory|File exists"):
        sync_tree(image, tmp_path / "file" / "node", UPDATE)


@pytest.mark.parametrize(
    "path", ["var/lib/app/data", "var/cache/x", "etc/systemd/system/multi-user.target.wants/y.service"]
)
def test_neighbours_of_excluded_paths_are_not_excluded(image: Path, node: Path, path: str) -> None:
    put(node / path)
    assert path in sync(image, node, dry_run=False)
    assert not (node / path).exists()


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
