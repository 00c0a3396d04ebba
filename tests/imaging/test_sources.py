"""From a site's word to a verified file: archives, files, packages' files, and programs that a site builds."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import store
from bcm_jobstats.imaging.bundle import Bundle
from bcm_jobstats.imaging.compile import BuildFailed, tree_digest
from bcm_jobstats.imaging.fetch import Fetcher, Wanted
from bcm_jobstats.imaging.sources import NotSupplied, Resolved, Sources, WrongSum
from bcm_jobstats.imaging.store import Store
from tests.harness import until
from tests.imaging.artifacts import MEMBER, archive, artifact, elf, sum_of

PROGRAM = elf()


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path, Store.of_head(tmp_path))


def resolve(sources: Sources, machine: str = "x86_64", **supply: Any) -> Resolved:
    found = sources.resolve("exporter", artifact(machine=machine, **supply), machine)
    assert found and found.path.name == found.sha256
    return found


def test_an_archive_becomes_its_member(sources: Sources) -> None:
    sha256 = archive(sources.root / "root/x.tgz", PROGRAM)
    found = resolve(sources, archive="/root/x.tgz", member=MEMBER, sha256=sha256)
    assert (found.path.read_bytes(), found.sha256) == (PROGRAM, sum_of(PROGRAM))
    assert (found.version, found.origin) == ("1.0", "/root/x.tgz")
    assert sources.store.known(f"version {found.sha256}") == "1.0"


def test_the_sum_is_looked_at_before_anything_is_taken_out(sources: Sources) -> None:
    file = sources.root / "root/x.tgz"
    wanted = archive(file, PROGRAM)
    got = archive(file, b"malware")
    with pytest.raises(WrongSum, match=f"x.tgz: has sha256 {got}, and {wanted} is wanted"):
        resolve(sources, archive="/root/x.tgz", member=MEMBER, sha256=wanted)
    assert not list(sources.store.folder.glob("[0-9a-f]*"))


@pytest.mark.parametrize("kind", ["archive", "file"])
@pytest.mark.parametrize("moment", [1, 2])
def test_a_file_that_is_replaced_meanwhile_is_not_used(
    sources: Sources, monkeypatch: pytest.MonkeyPatch, kind: str, moment: int
) -> None:
    """By name after its sum was taken, or in place before it is copied."""
    file, evil = sources.root / "root/x", sources.root / "root/evil"
    words: dict[str, Any] = {"archive": "/root/x", "member": MEMBER} if kind == "archive" else {"file": "/root/x"}
    sha256 = archive(file, PROGRAM)
    archive(evil, b"malware")
    if kind == "file":
        file.write_bytes(PROGRAM)
        sha256 = sum_of(PROGRAM)

    def summed(chunks: Any) -> str:
        found = store.summed(chunks)
        if moment == 1:
            evil.replace(file)
        else:
            file.write_bytes(evil.read_bytes())
        return found

    monkeypatch.setattr("bcm_jobstats.imaging.sources.summed", summed)
    if moment == 1:
        assert resolve(sources, sha256=sha256, **words).path.read_bytes() == PROGRAM
    else:
        with pytest.raises(WrongSum):
            resolve(sources, sha256=sha256, **words)
        assert not list(sources.store.folder.glob("[0-9a-f]*"))


def test_an_empty_program_is_refused(sources: Sources) -> None:
    (sources.root / "root").mkdir()
    (sources.root / "root/x").touch()
    with pytest.raises(NotSupplied, match=r"artifact exporter \(x86_64\): what /root/x supplies is empty"):
        resolve(sources, file="/root/x", unchecked=True)
    sha256 = archive(sources.root / "root/x.tgz", b"")
    with pytest.raises(NotSupplied, match="is empty"):
        resolve(sources, archive="/root/x.tgz", member=MEMBER, sha256=sha256)


@pytest.mark.parametrize("place", [0, 50, -1])
def test_a_tampered_byte_is_found(sources: Sources, place: int) -> None:
    file = sources.root / "root/x"
    file.parent.mkdir()
    content = bytearray(PROGRAM)
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(WrongSum):
        resolve(sources, file="/root/x", sha256=sum_of(PROGRAM))
    file.write_bytes(PROGRAM)
    resolve(sources, file="/root/x", sha256=sum_of(PROGRAM))


def test_once_in_the_store_the_file_may_be_gone(sources: Sources) -> None:
    sha256 = archive(sources.root / "root/x.tgz", PROGRAM)
    words = {"archive": "/root/x.tgz", "member": MEMBER, "sha256": sha256}
    first = resolve(sources, **words)
    packed = (sources.root / "root/x.tgz").read_bytes()
    (sources.root / "root/x.tgz").unlink()
    assert resolve(sources, **words) == first
    first.path.write_bytes(b"damaged")
    with pytest.raises(NotSupplied, match=r"artifact exporter \(x86_64\): there is no file .*/root/x.tgz\n.*--bundle"):
        resolve(sources, **words)
    (sources.root / "root/x.tgz").write_bytes(packed)
    assert resolve(sources, **words).path.read_bytes() == PROGRAM


def test_another_member_of_the_same_archive_is_another_program(sources: Sources) -> None:
    file = sources.root / "root/x.tgz"
    sha256 = archive(file, PROGRAM)
    resolve(sources, archive="/root/x.tgz", member=MEMBER, sha256=sha256)
    with pytest.raises(JobstatsError, match="there is no other in it"):
        resolve(sources, archive="/root/x.tgz", member="other", sha256=sha256)


def test_an_unchecked_file_is_taken_as_it_is_each_time(sources: Sources) -> None:
    file = sources.root / "root/x"
    file.parent.mkdir()
    for content in (PROGRAM, b"#!/bin/sh\n"):
        file.write_bytes(content)
        assert resolve(sources, file="/root/x", unchecked=True).sha256 == sum_of(content)


def test_an_architecture_that_the_site_does_not_have(sources: Sources) -> None:
    with pytest.raises(NotSupplied, match=r"artifact exporter \(aarch64\): the site file has it for x86_64 only"):
        sources.resolve("exporter", artifact(file="/x", unchecked=True), "aarch64")


def test_a_packages_file_is_found_again_by_what_it_is(sources: Sources) -> None:
    (sources.root / "root").mkdir()
    (sources.root / "root/x.deb").write_bytes(b"a package")
    found = resolve(sources, package="dcgm", from_="/root/x.deb", sha256=sum_of(b"a package"))
    assert sources.store.made("package dcgm 1.0 x86_64") == found.sha256


def test_a_package_of_a_repository_is_no_file(sources: Sources) -> None:
    assert sources.resolve("exporter", artifact(package="dcgm"), "x86_64") is None


OUTSIDE = "../../../../../.."
"""The root, from where a build runs."""
COMMAND = f"echo built >> {OUTSIDE}/log; mkdir out && cp main out/exporter && head -c 8 /dev/urandom >> out/exporter"


@pytest.fixture
def source(sources: Sources) -> Path:
    folder = sources.root / "root/src"
    folder.mkdir(parents=True)
    (folder / "main").write_bytes(PROGRAM)
    return folder


def build(sources: Sources, command: str = COMMAND, result: str = "out/exporter") -> Resolved:
    return resolve(sources, source="/root/src", build=command, result=result)


def test_a_source_is_built_once_and_in_a_copy(sources: Sources, source: Path) -> None:
    """Twice gives the same bytes, although the build itself would not."""
    before = tree_digest(source)
    first = build(sources)
    assert first.path.read_bytes().startswith(PROGRAM)
    assert build(sources) == first
    assert tree_digest(source) == before
    assert sorted(path.name for path in source.iterdir()) == ["main"]
    assert (sources.root / "log").read_text() == "built\n"
    assert not (sources.store.folder / "build").exists()


CHANGES = {
    "content": lambda folder: (folder / "main").write_bytes(PROGRAM + b"x"),
    "name": lambda folder: (folder / "main").rename(folder / "Main") and (folder / "main").symlink_to("Main"),
    "mode": lambda folder: (folder / "main").chmod(0o755),
    "new file": lambda folder: (folder / "new").touch(),
    "link": lambda folder: (folder / "new").symlink_to("main"),
    "folder": lambda folder: (folder / "new").mkdir(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_source_is_built_anew(sources: Sources, source: Path, change: Any) -> None:
    first = build(sources)
    change(source)
    assert build(sources).sha256 != first.sha256


def test_looking_at_the_version_control_changes_nothing(sources: Sources, source: Path) -> None:
    first = build(sources)
    (source / ".git").mkdir()
    (source / ".git/index").touch()
    assert build(sources) == first


def test_another_command_or_a_lost_result_is_a_new_build(sources: Sources, source: Path) -> None:
    first = build(sources)
    assert build(sources, f"{COMMAND} ").sha256 != first.sha256
    first.path.unlink()
    assert build(sources).sha256 != first.sha256


def test_a_build_that_fails_shows_its_last_words(sources: Sources, source: Path) -> None:
    with pytest.raises(BuildFailed) as told:
        build(sources, "seq 100; echo no compiler >&2; exit 3")
    lines = str(told.value).splitlines()
    assert "ended with status 3" in lines[0]
    assert lines[1:-1] == [*(f"    {number}" for number in range(90, 101)), "    no compiler"]
    assert not (sources.store.folder / "build").exists()


@pytest.mark.parametrize("result", ["out/other", "out"])
def test_a_build_without_its_result(sources: Sources, source: Path, result: str) -> None:
    with pytest.raises(BuildFailed, match=f"made no file {result}"):
        build(sources, result=result)


def test_the_result_is_never_a_file_of_the_head(sources: Sources, source: Path) -> None:
    with pytest.raises(BuildFailed, match="made no file exporter"):
        build(sources, "ln -s /etc/passwd exporter", "exporter")


def test_a_build_leaves_no_process(sources: Sources, source: Path) -> None:
    """Even one that holds the output open: a pipe would wait for it for ever."""
    resolve(sources, source="/root/src", build="sleep 1000 & echo $! > pid", result="pid")
    pid = int(build(sources, "sleep 1000 & echo $! > pid", "pid").path.read_text())
    until(lambda: not _runs(pid), 10, "the build's process is gone")


def _runs(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_build_with_folders_that_are_read_only_is_removed(sources: Sources, source: Path) -> None:
    build(sources, "mkdir -p locked && touch locked/x && chmod 0555 locked && cp main exporter", "exporter")
    assert not (sources.store.folder / "build").exists()


def test_a_build_by_somebody_who_is_not_root_is_removed_too(sources: Sources) -> None:
    """Whom folders that are read-only would stop."""
    if os.geteuid() != 0:
        pytest.skip("the test before did it")
    folder = Path(tempfile.mkdtemp())  # for whom pytest's own folders are closed
    try:
        (folder / "root/src").mkdir(parents=True)
        for path in (folder, folder / "root", folder / "root/src"):
            os.chown(path, 65534, 65534)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setgid(65534)
                os.setuid(65534)
                theirs = Sources(folder, Store.of_head(folder))
                build(theirs, "mkdir locked && touch locked/x && chmod 0555 locked && echo > exporter", "exporter")
                status = int((theirs.store.folder / "build").exists())
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        shutil.rmtree(folder)


def test_a_killed_build_is_cleared_away(sources: Sources, source: Path) -> None:
    child = os.fork()
    if child == 0:
        try:
            build(sources, f"mkfifo wait; touch {OUTSIDE}/begun; read x < wait", "exporter")
        finally:
            os._exit(1)
    until((sources.root / "begun").exists, 20)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for process in Path("/proc").glob("[0-9]*"):  # the one that waits at the pipe
        try:
            if str(process.joinpath("cwd").readlink()).startswith(str(sources.store.folder)):
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            continue
    assert build(sources, "cp main exporter", "exporter").path.read_bytes() == PROGRAM
    assert not (sources.store.folder / "build").exists()


def bundled(sources: Sources, machine: str = "x86_64", **supply: Any) -> Sources:
    """A head node that has the bundle and nothing else."""
    one = artifact(machine=machine, **supply)
    out = sources.root / "bundle.tar"
    Fetcher(out, sources.root).fetch([Wanted("exporter", machine, one.version, one.supplies[machine])])
    head = sources.root / "head"
    return Sources(head, Store.of_head(head), Bundle.open(out))


def test_a_bundle_stands_for_each_kind_of_file(sources: Sources, source: Path) -> None:
    sha256 = archive(sources.root / "root/x.tgz", PROGRAM)
    kinds: list[dict[str, Any]] = [
        {"archive": "/root/x.tgz", "member": MEMBER, "sha256": sha256},
        {"file": "/root/src/main", "sha256": sum_of(PROGRAM)},
        {"source": "/root/src", "build": "cp main exporter", "result": "exporter"},
        {"file": "/root/src/main", "unchecked": True},
    ]
    for supply in kinds:
        found = resolve(bundled(sources, **supply), **supply)
        assert (found.path.read_bytes(), found.origin) == (PROGRAM, str(sources.root / "bundle.tar"))


def test_a_bundle_of_another_version_or_sum_is_not_taken(sources: Sources, source: Path) -> None:
    head = bundled(sources, file="/root/src/main", unchecked=True)
    for version, supply in (("2.0", {"unchecked": True}), ("1.0", {"sha256": "0" * 64})):
        with pytest.raises(NotSupplied):
            head.resolve("exporter", artifact(version, file="/root/src/main", **supply), "x86_64")
