"""The store by sums, and single members of archives: complete or not at all, and never something else."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import extract, store
from bcm_jobstats.imaging.extract import BadArchive
from bcm_jobstats.imaging.store import CannotKeep, NotKept, Store

CONTENT = b"\x7fELF" + bytes(range(256)) * 4200
"""Longer than one piece."""
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store.of_head(tmp_path)


def names(place: Store) -> list[str]:
    return sorted(path.name for path in place.folder.iterdir() if path.name != ".lock")


def test_a_file_is_kept_by_its_sum_for_nobody_else_to_read(kept: Store) -> None:
    assert kept.get(SUM) is None
    assert kept.put([CONTENT[:5], CONTENT[5:]]) == SUM
    found = kept.get(SUM)
    assert found and found.read_bytes() == CONTENT
    assert str(found).endswith(f"/var/lib/bcm-jobstats/artifacts/{SUM}")
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700
    assert names(kept) == [SUM]


def test_every_byte_counts(kept: Store) -> None:
    """Damaged, a file is not given out, says so where it is needed, and can be made anew."""
    path = kept.folder / kept.put([CONTENT])
    for place in (0, len(CONTENT) // 2, len(CONTENT) - 1):
        damaged = bytearray(CONTENT)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        assert kept.get(SUM) is None
        with pytest.raises(NotKept, match=r"program x: its file .* is damaged"):
            kept.require(SUM, "program x")
    kept.put([CONTENT])
    assert kept.require(SUM, "program x").read_bytes() == CONTENT
    with pytest.raises(NotKept, match="is not there"):
        kept.require("0" * 64, "program x")


def test_what_cannot_be_read_to_its_end_leaves_nothing(kept: Store) -> None:
    def broken() -> Iterator[bytes]:
        yield CONTENT
        raise BadArchive("archive", "cut off")

    with pytest.raises(BadArchive):
        kept.put(broken())
    assert names(kept) == []


def test_a_killed_runs_part_is_overwritten(kept: Store) -> None:
    kept.put([b"x"])
    (kept.folder / ".part").write_bytes(b"longer than what comes now" * 99)
    kept.put([CONTENT])
    assert kept.get(SUM)


def test_a_name_that_is_no_sum_is_never_a_path(kept: Store, tmp_path: Path) -> None:
    kept.put([b"x"])
    (tmp_path / "var/lib/bcm-jobstats/outside").write_bytes(b"")
    assert kept.get("../outside") is None


def test_a_full_disk_is_told_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full does for one file."""
    monkeypatch.setattr(store, "created", lambda path: Path("/dev/full").open("wb"))  # noqa: SIM115 - put closes it
    place = Store(tmp_path / "full")
    with pytest.raises(CannotKeep, match=r"full: No space left on device\n  Make room"):
        place.put([CONTENT])


def test_a_link_where_a_part_is_written_is_not_followed(kept: Store, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"the head's")
    kept.prepare()
    (kept.folder / ".part").symlink_to(tmp_path / "precious")
    assert kept.put([CONTENT]) == SUM
    assert (tmp_path / "precious").read_bytes() == b"the head's"
    found = kept.get(SUM)
    assert found and not found.is_symlink()


def linked(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to("elsewhere")


def writable(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o770)


def somebodys(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives a folder away")
    folder.mkdir()
    os.chown(folder, 65534, -1)


OTHERS = {
    "is a symbolic link": linked,
    "belongs to somebody else, or others can write to it": writable,
    "belongs to somebody else": somebodys,
}


@pytest.mark.parametrize(("told", "make"), OTHERS.items(), ids=OTHERS)
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, told: str, make: Any) -> None:
    make(tmp_path / "parts")
    with pytest.raises(CannotKeep, match=rf"parts: {told}.*\n  Remove it"):
        Store(tmp_path / "parts").put([CONTENT])
    assert list((tmp_path / "parts").iterdir()) == []


def test_what_is_not_accepted_is_not_kept(kept: Store) -> None:
    def refuse(sha256: str) -> None:
        raise BadArchive("archive", sha256)

    with pytest.raises(BadArchive, match=SUM):
        kept.put([CONTENT], refuse)
    assert names(kept) == []


def test_a_copy_has_no_name_and_is_gone_afterwards(kept: Store) -> None:
    with kept.copy([CONTENT[:9], CONTENT[9:]]) as (file, sha256):
        assert (file.read(), sha256) == (CONTENT, SUM)
        assert list(kept.folder.iterdir()) == []


def test_two_at_once_keep_both_whole(kept: Store) -> None:
    contents = [bytes([number]) * 300_000 for number in range(8)]
    workers = [threading.Thread(target=kept.put, args=([content],)) for content in contents]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(kept.get(hashlib.sha256(content).hexdigest()) for content in contents)


def test_the_index_is_a_memory_and_no_more(kept: Store) -> None:
    assert kept.known("a") is None
    kept.learn("a", SUM)
    kept.learn("b", "1.9.1")
    assert (kept.known("a"), kept.known("b"), kept.made("a")) == (SUM, "1.9.1", None)
    kept.put([CONTENT])
    assert kept.made("a") == SUM
    for text in ("", "[]", "{", '{"a": 1}'):
        (kept.folder / "index.json").write_text(text)
        assert kept.known("a") is None
    kept.learn("a", SUM)
    assert kept.known("a") == SUM


def member(archive: Path, name: str) -> Iterator[bytes]:
    with archive.open("rb") as opened:
        yield from extract.member(opened, name, archive)


def tar(mode: str) -> Callable[[Path, dict[str, bytes]], None]:
    def make(path: Path, members: dict[str, bytes]) -> None:
        with tarfile.open(path, mode) as opened:  # type: ignore[call-overload]
            for name, content in members.items():
                header = tarfile.TarInfo(name)
                header.size = len(content)
                opened.addfile(header, io.BytesIO(content))

    return make


def zipped(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name, content)


FORMATS = {"tar": tar("w"), "gz": tar("w:gz"), "bz2": tar("w:bz2"), "xz": tar("w:xz"), "zip": zipped}
MEMBERS = {"./exporter-1.0.linux-amd64/README": b"read me", "./exporter-1.0.linux-amd64/exporter": CONTENT}


@pytest.mark.parametrize("make", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("name", ["exporter-1.0.linux-amd64/exporter", "./exporter-1.0.linux-amd64/exporter"])
def test_one_member_of_an_archive_of_any_kind(tmp_path: Path, make: Any, name: str) -> None:
    """Told by its content: nobody names an archive .zip for us."""
    archive = tmp_path / "downloaded"
    make(archive, MEMBERS)
    assert b"".join(member(archive, name)) == CONTENT


@pytest.mark.parametrize("make", FORMATS.values(), ids=FORMATS)
def test_a_member_that_is_missing_names_what_may_be_meant(tmp_path: Path, make: Any) -> None:
    archive = tmp_path / "archive"
    make(archive, MEMBERS)
    with pytest.raises(
        BadArchive, match=r"there is no exporter in it\n  It has: \S*exporter-1.0.linux-amd64/exporter[.,]"
    ):
        list(member(archive, "exporter"))
    with pytest.raises(BadArchive, match=r"It has: \S*README"):
        list(member(archive, "exporter-1.0.linux-amd64/REDME"))


@pytest.mark.parametrize("make", FORMATS.values(), ids=FORMATS)
def test_an_archive_that_was_cut_off_is_told(tmp_path: Path, make: Any) -> None:
    archive = tmp_path / "archive"
    make(archive, {"exporter": os.urandom(200_000)})
    archive.write_bytes(archive.read_bytes()[:100_000])
    with pytest.raises(BadArchive, match=r"archive: cannot be read as tar \(plain, gz, bz2, xz\) or zip"):
        list(member(archive, "exporter"))


JUNK = {"text": b"Not Found\n", "empty": b"", "html": b"<html>" * 400, "gz of text": gzip.compress(b"text" * 400)}


@pytest.mark.parametrize("content", JUNK.values(), ids=JUNK)
def test_what_is_no_archive_is_told(tmp_path: Path, content: bytes) -> None:
    """A server's error page, saved under the archive's name."""
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises(BadArchive):
        list(member(tmp_path / "archive", "exporter"))


SPECIAL = {
    "symbolic link": (tarfile.SYMTYPE, "/etc/shadow"),
    "hard link": (tarfile.LNKTYPE, "/etc/shadow"),
    "device": (tarfile.CHRTYPE, ""),
    "pipe": (tarfile.FIFOTYPE, ""),
    "directory": (tarfile.DIRTYPE, ""),
}


@pytest.mark.parametrize(("kind", "target"), SPECIAL.values(), ids=SPECIAL)
def test_only_a_regular_file_is_taken_out_of_a_tar(tmp_path: Path, kind: bytes, target: str) -> None:
    with tarfile.open(tmp_path / "archive", "w") as opened:
        header = tarfile.TarInfo("exporter")
        header.type, header.linkname = kind, target
        opened.addfile(header)
    with pytest.raises(BadArchive, match="is a link, a device, a directory or encrypted"):
        list(member(tmp_path / "archive", "exporter"))


@pytest.mark.parametrize("kind", [stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755, stat.S_IFCHR | 0o644])
def test_only_a_regular_file_is_taken_out_of_a_zip(tmp_path: Path, kind: int) -> None:
    with zipfile.ZipFile(tmp_path / "archive", "w") as opened:
        entry = zipfile.ZipInfo("exporter")
        entry.external_attr = kind << 16
        opened.writestr(entry, "/etc/shadow")
    with pytest.raises(BadArchive, match="is a link, a device, a directory or encrypted"):
        list(member(tmp_path / "archive", "exporter"))


@pytest.mark.parametrize("make", FORMATS.values(), ids=FORMATS)
def test_a_tampered_archive_gives_an_error_or_what_its_sum_tells(tmp_path: Path, kept: Store, make: Any) -> None:
    """Never a traceback, and never other bytes under the same sum: that is why the sum is looked at first."""
    archive = tmp_path / "archive"
    make(archive, {"exporter": b"program" * 999})
    content = archive.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 40)):
        tampered: Optional[str] = None
        changed = bytearray(content)
        changed[place] ^= 0x55
        archive.write_bytes(changed)
        try:
            tampered = kept.put(member(archive, "exporter"))
        except JobstatsError:
            continue
        found = kept.get(tampered)
        assert found and store.digest(found) == tampered
