"""Bundles: complete or not there, the same bytes for the same content, and nothing of a tampered one is used."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any, Callable

import pytest

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import bundle
from bcm_jobstats.imaging.bundle import BadBundle, Bundle, Entry
from bcm_jobstats.imaging.store import Store
from tests.imaging.artifacts import sum_of

CONTENTS = {"node_exporter": b"node" * 300, "cgroup_exporter": b"cgroup" * 300}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return make(tmp_path)


def make(folder: Path) -> Path:
    parts = Store(folder / "parts")
    entries = [
        Entry(name, "1.0", "x86_64", "file", parts.put([content]), len(content), f"/root/{name}")
        for name, content in CONTENTS.items()
    ]
    bundle.write(folder / "bundle.tar", entries, parts)
    return folder / "bundle.tar"


def test_what_is_put_in_comes_out(made: Path, tmp_path: Path) -> None:
    opened = Bundle.open(made)
    store = Store.of_head(tmp_path)
    for name, content in CONTENTS.items():
        entry = opened.find(name, "1.0", "x86_64")
        assert entry
        assert opened.take(entry, store).read_bytes() == content
    assert opened.find("node_exporter", "1.1", "x86_64") is None
    assert opened.find("node_exporter", "1.0", "aarch64") is None


def test_the_same_content_is_the_same_bundle(made: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    assert make(tmp_path / "again").read_bytes() == made.read_bytes()


def test_it_is_an_ordinary_tar_with_its_list_first(made: Path) -> None:
    with tarfile.open(made) as opened:
        names = opened.getnames()
        first = opened.extractfile(names[0])
        assert first
        document = json.load(first)
    assert names == ["bundle.json", *(f"artifacts/{sum_of(content)}" for content in CONTENTS.values())]
    assert document["format_version"] == "1.0"
    assert document["artifacts"][0] == {
        "name": "node_exporter", "version": "1.0", "architecture": "x86_64", "kind": "file", "size": 1200,
        "sha256": sum_of(CONTENTS["node_exporter"]), "origin": "/root/node_exporter",
    }  # fmt: skip


def test_the_one_that_was_there_stays_when_a_new_one_fails(made: Path, tmp_path: Path) -> None:
    before = made.read_bytes()
    lost = Entry("lost", "1.0", "x86_64", "file", "0" * 64, 1, "")
    with pytest.raises(JobstatsError):
        bundle.write(made, [lost], Store(tmp_path / "parts"))
    assert made.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.tar", "parts"]


def test_a_link_where_it_is_written_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / ".bundle.tar.part").symlink_to(tmp_path / "precious")
    Bundle.open(make(tmp_path))
    assert (tmp_path / "precious").read_bytes() == b"mine"
    assert not (tmp_path / "bundle.tar").is_symlink()


def test_a_tampered_byte_is_found_wherever_it_is(made: Path, tmp_path: Path) -> None:
    """Every 97th byte: either nothing is used, or what is used is what was put in."""
    content = made.read_bytes()
    refused = 0
    for place in range(0, len(content), 97):
        changed = bytearray(content)
        changed[place] ^= 0x01
        made.write_bytes(changed)
        store = Store(tmp_path / f"store{place}")
        try:
            opened = Bundle.open(made)
            taken = {one.name: opened.take(one, store).read_bytes() for one in opened.entries}
        except JobstatsError:
            refused += 1
            continue
        assert set(taken.values()) == set(CONTENTS.values())
    assert refused > sum(map(len, CONTENTS.values())) // 97


def test_a_bundle_that_was_cut_off(made: Path, tmp_path: Path) -> None:
    made.write_bytes(made.read_bytes()[:3000])
    opened = Bundle.open(made)
    with pytest.raises(BadBundle, match=r"bundle.tar: "):
        [opened.take(one, Store(tmp_path / "store")) for one in opened.entries]


def replaced(path: Path, change: Callable[[Any], Any]) -> None:
    """The bundle with another list."""
    with tarfile.open(path) as opened:
        files = {one.name: opened.extractfile(one) for one in opened}
        contents = {name: file.read() for name, file in files.items() if file}
    document = json.loads(contents["bundle.json"])
    change(document)
    contents["bundle.json"] = json.dumps(document).encode()
    with tarfile.open(path, "w") as opened:
        for name, content in contents.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            opened.addfile(header, io.BytesIO(content))


LISTS: dict[str, Callable[[Any], Any]] = {
    "no format": lambda told: told.pop("format_version"),
    "a later format": lambda told: told.update(format_version="2.0"),
    "no list": lambda told: told.update(artifacts=3),
    "a line that is no entry": lambda told: told["artifacts"].append("x"),
    "a sum that is a path": lambda told: told["artifacts"][0].update(sha256="../../etc/passwd"),
    "a size that is a word": lambda told: told["artifacts"][0].update(size="big"),
    "a missing word": lambda told: told["artifacts"][0].pop("origin"),
}


@pytest.mark.parametrize("change", LISTS.values(), ids=LISTS)
def test_a_list_that_makes_no_sense(made: Path, change: Callable[[Any], Any]) -> None:
    replaced(made, change)
    with pytest.raises(BadBundle, match=r"bundle.tar: bundle.json cannot be read"):
        Bundle.open(made)


def test_a_later_minor_may_say_more(made: Path) -> None:
    replaced(made, lambda told: (told.update(format_version="1.7"), told["artifacts"][0].update(licence="MIT")))
    assert Bundle.open(made).find("node_exporter", "1.0", "x86_64")


LINKS = {"link to a file of the head": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "folder": tarfile.DIRTYPE}


@pytest.mark.parametrize("kind", LINKS.values(), ids=LINKS)
def test_nothing_but_a_regular_file_is_taken(made: Path, tmp_path: Path, kind: bytes) -> None:
    entry = Bundle.open(made).entries[0]
    with tarfile.open(made, "w") as opened:
        text = json.dumps({"format_version": "1.0", "artifacts": [vars(entry)]}).encode()
        header = tarfile.TarInfo("bundle.json")
        header.size = len(text)
        opened.addfile(header, io.BytesIO(text))
        header = tarfile.TarInfo(f"artifacts/{entry.sha256}")
        header.type, header.linkname = kind, "/etc/passwd"
        opened.addfile(header)
    with pytest.raises(BadBundle, match="there is no file artifacts/"):
        Bundle.open(made).take(entry, Store(tmp_path / "store"))


@pytest.mark.parametrize("content", [b"", b"<html>Not Found</html>" * 100], ids=["empty", "page"])
def test_what_is_no_bundle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bundle.tar").write_bytes(content)
    with pytest.raises(BadBundle, match="Copy it again"):
        Bundle.open(tmp_path / "bundle.tar")
