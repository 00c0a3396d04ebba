"""The record of what we wrote into a tree: there from before the first file until after the last, then gone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.imaging.manifest import BadManifest, Manifest, clear_leftovers, write_atomically

PATH = "/etc/bcm-jobstats/manifest.json"
FILE = "etc/bcm-jobstats/manifest.json"
ENTRY = {"type": "file", "mode": "0644", "owner": "0:0", "sha256": "0"}


def manifest(root: Path) -> Manifest:
    return Manifest(root, PATH)


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    first = manifest(tmp_path)
    first.entries["/a"] = dict(ENTRY)
    first.lines["/etc/passwd"] = ["jobstats"]
    first.pushed["dgx"] = {"payload": "abc"}
    first.save()
    second = manifest(tmp_path)
    assert (second.entries, second.lines) == (first.entries, first.lines)
    assert second.pushed == {"dgx": {"payload": "abc"}}
    assert "Managed by bcm-jobstats" in (tmp_path / FILE).read_text()


@pytest.mark.parametrize("there", ["", "etc", "etc/bcm-jobstats"])
@pytest.mark.parametrize("kind", ["entries", "lines", "pushed"])
def test_an_empty_manifest_takes_its_own_directories_away(tmp_path: Path, there: str, kind: str) -> None:
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    before = names(tmp_path)
    full = manifest(tmp_path)
    getattr(full, kind)["/a"] = ["x"]
    full.save()
    assert FILE in names(tmp_path)
    empty = manifest(tmp_path)
    getattr(empty, kind).clear()
    empty.save()
    assert names(tmp_path) == before


@pytest.mark.parametrize("name", ["etc/other", "etc/bcm-jobstats/site.yaml", "etc/bcm-jobstats/empty/"])
def test_directories_that_somebody_put_something_in_stay(tmp_path: Path, name: str) -> None:
    full = manifest(tmp_path)
    full.entries["/a"] = dict(ENTRY)
    full.save()
    if name.endswith("/"):
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).touch()
    empty = manifest(tmp_path)
    empty.entries.clear()
    empty.save()
    assert (tmp_path / name).exists()
    assert not (tmp_path / FILE).exists()


def test_directories_on_the_way_are_recorded_before_they_are_made(tmp_path: Path) -> None:
    (tmp_path / "usr").mkdir()
    made = manifest(tmp_path)
    made.entries["/usr/lib/x/file"] = dict(ENTRY)
    made.make_parents(tmp_path / "usr/lib/x/file")
    assert (tmp_path / "usr/lib/x").is_dir()
    assert set(manifest(tmp_path).directories) == {"/etc", "/etc/bcm-jobstats", "/usr/lib", "/usr/lib/x"}


def test_directories_on_the_way_go_when_they_are_empty_and_only_then(tmp_path: Path) -> None:
    made = manifest(tmp_path)
    for name in ("usr/lib/x/file", "opt/y/file"):
        made.entries[f"/{name}"] = dict(ENTRY)
        made.make_parents(tmp_path / name)
    (tmp_path / "opt/mine").touch()
    made.entries.clear()
    made.drop_parents()
    made.save()
    assert names(tmp_path) == ["opt", "opt/mine"]


def test_a_directory_on_the_way_that_somebody_removed_is_no_trouble(tmp_path: Path) -> None:
    made = manifest(tmp_path)
    made.entries["/opt/y/file"] = dict(ENTRY)
    made.make_parents(tmp_path / "opt/y/file")
    (tmp_path / "opt/y").rmdir()
    made.entries.clear()
    made.drop_parents()
    made.save()
    assert names(tmp_path) == []


BROKEN = {
    "not JSON": "{",
    "empty": "",
    "a list": "[]",
    "lacks a part": '{"entries": {}, "lines": {}, "directories": []}',
    "null": "null",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_manifest_is_an_error_and_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(text)
    with pytest.raises(BadManifest) as error:
        manifest(tmp_path)
    assert error.value.subject == str(tmp_path / FILE)
    assert error.value.remedy
    assert (tmp_path / FILE).read_text() == text


@pytest.mark.parametrize("text", ['{"entries": [], "lines": [], "directories": {}, "pushed": 1}', "\udcff"])
def test_a_manifest_of_the_wrong_shape_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(text, errors="surrogateescape")
    with pytest.raises(BadManifest):
        manifest(tmp_path)


def test_a_manifest_that_is_a_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir(parents=True)
    with pytest.raises(BadManifest):
        manifest(tmp_path)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old and longer")
    (tmp_path / ".file.bcm-jobstats").write_bytes(b"left over by a killed run, longer than the new content")
    number = file.stat().st_ino
    write_atomically(file, b"new", 0o640)
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"new", 0o640)
    assert file.stat().st_ino != number, "written in place"
    assert names(tmp_path) == ["file"]


def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        write_atomically(tmp_path / "file", b"", 0o755)
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "leftover", [".etc.bcm-jobstats/bcm-jobstats/manifest.json", "etc/.bcm-jobstats.bcm-jobstats/x"]
)
def test_what_a_killed_run_left_of_the_manifests_directory_is_cleared(tmp_path: Path, leftover: str) -> None:
    (tmp_path / leftover).parent.mkdir(parents=True)
    (tmp_path / leftover).touch()
    clear_leftovers(tmp_path, PATH)
    assert names(tmp_path) == (["etc"] if leftover.startswith("etc") else [])


def test_the_manifest_is_the_same_for_the_same_record(tmp_path: Path) -> None:
    texts = []
    for order in (("/a", "/b"), ("/b", "/a")):
        root = tmp_path / order[0].strip("/")
        (root / "etc").mkdir(parents=True)
        full = manifest(root)
        full.entries.update({path: dict(ENTRY) for path in order})
        full.save()
        texts.append((root / FILE).read_text())
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["entries"].keys() == {"/a", "/b"}


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """A directory of the head node, with a file in it; the tree is beside it."""
    (tmp_path / "heads").mkdir()
    (tmp_path / "heads/file").write_bytes(b"the head's")
    (tmp_path / "tree/etc").mkdir(parents=True)
    return tmp_path / "heads"


def untouched(heads: Path) -> bool:
    return {path.name: path.read_bytes() for path in heads.iterdir()} == {"file": b"the head's"}


def test_a_link_at_the_temporary_name_is_not_followed(heads: Path) -> None:
    file = heads.parent / "tree/etc/passwd"
    (file.parent / ".passwd.bcm-jobstats").symlink_to(heads / "file")
    write_atomically(file, b"new")
    assert (file.read_bytes(), file.is_symlink(), untouched(heads)) == (b"new", False, True)
    assert names(file.parent) == ["passwd"]


def test_nobody_else_can_read_a_private_file_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def watched(call: Any) -> Any:
        def wrapper(number: int, *more: int) -> None:
            seen.append(os.fstat(number).st_mode)
            call(number, *more)

        return wrapper

    for name in ("fchmod", "fsync"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    write_atomically(tmp_path / "file", b"secret", 0o640)
    assert [mode & 0o777 for mode in seen] == [0o600, 0o640]


@pytest.mark.parametrize("place", [".etc.bcm-jobstats", "etc/.bcm-jobstats.bcm-jobstats"])
@pytest.mark.parametrize("inner", ["", "bcm-jobstats"])
def test_links_where_the_manifests_directory_is_made_are_not_followed(heads: Path, place: str, inner: str) -> None:
    """Neither to write into what they lead to, nor to remove it."""
    root = heads.parent / "tree"
    if place.startswith("."):
        (root / "etc").rmdir()
    (root / place / inner).parent.mkdir(exist_ok=True)
    (root / place / inner).symlink_to(heads)
    full = manifest(root)
    full.entries["/a"] = dict(ENTRY)
    full.save()
    assert names(root) == ["etc", "etc/bcm-jobstats", FILE]
    assert (root / "etc/bcm-jobstats").is_symlink() is False
    (root / place).symlink_to(heads)
    empty = manifest(root)
    empty.entries.clear()
    empty.save()
    assert not (root / "etc/bcm-jobstats").exists()
    (root / "etc").mkdir(exist_ok=True)
    (root / place).symlink_to(heads)
    clear_leftovers(root, PATH)
    assert not os.path.lexists(root / place)
    assert untouched(heads)


@pytest.mark.parametrize("place", ["etc", "etc/bcm-jobstats"])
def test_a_manifest_behind_a_link_out_of_the_tree_is_refused(heads: Path, place: str) -> None:
    """Read, it would be the head's; written, it would be on the head."""
    root = heads.parent / "tree"
    (heads / "manifest.json").write_text("{}")
    if place == "etc":
        (root / "etc").rmdir()
    (root / place).symlink_to(heads)
    with pytest.raises(BadManifest, match="leads out of the tree"):
        manifest(root)
    (heads / ".bcm-jobstats.bcm-jobstats").mkdir()
    clear_leftovers(root, PATH)
    assert (heads / ".bcm-jobstats.bcm-jobstats").exists()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/null")], ids=["pipe", "link"])
def test_a_manifest_that_is_no_file_is_an_error_and_nobody_waits(tmp_path: Path, make: Any) -> None:
    (tmp_path / FILE).parent.mkdir(parents=True)
    make(tmp_path / FILE)
    with pytest.raises(BadManifest, match="it is not a file"):
        manifest(tmp_path)


def test_an_empty_directory_of_the_head_is_not_removed_through_a_link(heads: Path) -> None:
    """What an image's manifest lists is what root on a node wrote, once it was grabbed."""
    root = heads.parent / "tree"
    (heads.parent / "empty").mkdir()
    (root / "opt").symlink_to(heads.parent)
    full = manifest(root)
    full.directories = ["/opt/empty", "/../empty"]
    full.drop_parents()
    assert (heads.parent / "empty").is_dir()


def test_shared_storage_may_be_a_link_to_where_it_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "mounted").mkdir()
    (tmp_path / "head/cm").mkdir(parents=True)
    (tmp_path / "head/cm/shared").symlink_to(tmp_path / "mounted")
    full = Manifest(tmp_path / "head", "/cm/shared/apps/jobstats/manifest.json")
    full.entries["/a"] = dict(ENTRY)
    full.save()
    full.make_parents(tmp_path / "head/cm/shared/apps/more/file")
    assert names(tmp_path / "mounted") == ["apps", "apps/jobstats", "apps/jobstats/manifest.json", "apps/more"]
    full.entries.clear()
    full.drop_parents()
    full.save()
    assert names(tmp_path / "mounted") == []
