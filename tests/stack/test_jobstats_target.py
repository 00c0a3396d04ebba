"""scripts/jobstats-target, run for real: what it writes, what it leaves alone, how it fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bcm_jobstats import data
from bcm_jobstats.site import Site
from bcm_jobstats.stack import Stack, load_definitions

SCRIPT = data.path("scripts") / "jobstats-target"
STACK = Stack(Site(), load_definitions())


class Node:
    """A template, the shared folder with its neighbour for unfinished files, and the script."""

    def __init__(self, root: Path) -> None:
        self.template = root / "jobstats.json"
        (template,) = (file for file in STACK.payload(["jobstats"]) if file.path.endswith("/jobstats.json"))
        self.template.write_bytes(template.content)
        self.targets = root / "shared/prometheus-targets"
        self.unfinished = root / "shared/.prometheus-targets.tmp"
        self.targets.mkdir(parents=True)
        self.unfinished.mkdir()

    def run(self, action: str, host: str = "dgx-01", *more: str, path: str = "") -> subprocess.CompletedProcess[str]:
        command = ["/bin/bash", str(SCRIPT), action, str(self.template), str(self.targets), host, *more]
        env = {"PATH": path or os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=env)

    def files(self) -> list[str]:
        return sorted(path.name for folder in (self.targets, self.unfinished) for path in folder.iterdir())


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One line with object, cause and remedy, and status 1."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("jobstats-target: ")
    assert "; " in done.stderr
    for word in words:
        assert word in done.stderr


def test_registering_writes_what_targets_sync_would_write(node: Node) -> None:
    done = node.run("register", "dgx-01.cm.cluster")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    name, content = STACK.target_file("dgx-01", "jobstats")
    assert node.files() == [name]
    assert (node.targets / name).read_bytes() == content
    assert json.loads(content) == STACK.targets("dgx-01", "jobstats")
    assert (node.targets / name).stat().st_mode & 0o777 == 0o644


def test_what_is_equal_is_not_written_again(node: Node) -> None:
    node.run("register")
    file = node.targets / "dgx-01.json"
    os.utime(file, (1, 1))
    before = file.stat()
    assert node.run("register", path="/nonexistent").returncode == 0, "and no other program is needed"
    assert (file.stat().st_ino, file.stat().st_mtime) == (before.st_ino, before.st_mtime)


@pytest.mark.parametrize("damage", ["", "[]\n", "x" * 10_000])
def test_what_differs_is_replaced_by_a_new_file(node: Node, damage: str) -> None:
    file = node.targets / "dgx-01.json"
    file.write_text(damage)
    before = file.stat().st_ino
    with file.open() as reader:
        assert node.run("register").returncode == 0
        assert reader.read() == damage, "who had the old file open still reads it whole"
    assert file.stat().st_ino != before
    assert file.read_bytes() == STACK.target_file("dgx-01", "jobstats")[1]
    assert node.files() == ["dgx-01.json"]


def test_withdrawing_removes_the_file_and_may_be_repeated(node: Node) -> None:
    node.run("register")
    node.run("register", "dgx-02")
    assert node.run("withdraw").returncode == 0
    assert node.files() == ["dgx-02.json"]
    done = node.run("withdraw")
    assert (done.returncode, done.stderr) == (0, "")


def test_two_roles_have_two_files(node: Node) -> None:
    node.run("register")
    assert node.run("register", "dgx-01", "+dcgm-exporter").returncode == 0
    assert node.files() == ["dgx-01+dcgm-exporter.json", "dgx-01.json"]
    assert node.run("withdraw").returncode == 0
    assert node.files() == ["dgx-01+dcgm-exporter.json"]


@pytest.mark.parametrize(
    "host", ["", ".", "../../etc/x", "a/b", "-x", "x-", "a_b", "a b", "localhost", "x" * 64, "é", "$(id)", "a\nb", "*"]
)
@pytest.mark.parametrize("action", ["register", "withdraw"])
def test_a_bad_host_is_refused(node: Node, action: str, host: str) -> None:
    done = node.run(action, host)
    assert done.returncode == 1
    assert "is not the name of a node" in done.stderr
    assert node.files() == []


@pytest.mark.parametrize("suffix", ["dcgm", "+", "+../x", "+A", "+a b"])
def test_a_bad_suffix_is_refused(node: Node, suffix: str) -> None:
    refused(node.run("register", "dgx-01", suffix), "suffix", suffix)


def test_what_cannot_be_done_is_told_with_object_cause_and_remedy(node: Node) -> None:
    refused(node.run("remove"), "action 'remove'")
    refused(node.run("register", "dgx-01", "+a", "+b"), "6 given", "usage")
    node.unfinished.rmdir()
    refused(node.run("register"), str(node.unfinished), "cannot be written")
    node.targets.rmdir()
    refused(node.run("register"), str(node.targets), "there is no such folder", "mounted")
    assert node.run("withdraw").returncode == 0, "nothing there is nothing to withdraw"
    node.template.unlink()
    refused(node.run("register"), str(node.template), "cannot be read or is empty")


def test_an_empty_template_registers_nothing(node: Node) -> None:
    node.template.write_text("")
    refused(node.run("register"), str(node.template))
    assert node.files() == []


def test_a_folder_in_the_place_of_the_file_is_not_moved_into(node: Node) -> None:
    (node.targets / "dgx-01.json").mkdir()
    refused(node.run("register"), "cannot be replaced")
    assert list((node.targets / "dgx-01.json").iterdir()) == []
    assert node.files() == ["dgx-01.json"], "the unfinished file is gone"


def test_what_did_not_reach_the_disk_leaves_the_old_file(node: Node) -> None:
    old = node.targets / "dgx-01.json"
    old.write_text("old")
    fake = node.template.parent / "bin"
    fake.mkdir()
    for name in ("mv", "rm"):
        (fake / name).symlink_to(str(shutil.which(name)))
    (fake / "sync").write_text("#!/bin/sh\nexit 1\n")
    (fake / "sync").chmod(0o755)
    refused(node.run("register", path=str(fake)), "did not reach the disk")
    assert (old.read_text(), node.files()) == ("old", ["dgx-01.json"])


def test_a_full_disk_leaves_the_old_file(node: Node) -> None:
    """A real one: a file system of 64 KiB, in a mount namespace of its own."""
    node.template.write_text("x" * 100_000)
    mounted = (
        'mount -t tmpfs -o size=64k none "$1" && cd "$1" && mkdir t .prometheus-targets.tmp && echo old >t/dgx-01.json'
    )
    command = ["unshare", "--mount", "bash", "-c"]
    if subprocess.run([*command, mounted, "-", str(node.targets)], capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system")
    script = f'{mounted} && bash "$2" register "$3" "$1"/t dgx-01; echo $?; cat "$1"/t/dgx-01.json; ls -A "$1"/.p*'
    arguments = ["-", str(node.targets), str(SCRIPT), str(node.template)]
    done = subprocess.run([*command, script, *arguments], capture_output=True, text=True, check=False)
    assert done.stdout == "1\nold\n", done
    assert "cannot be written; is the file system full" in done.stderr
    assert done.stderr.count("\n") == 1


def test_at_most_two_programs_are_run(node: Node) -> None:
    fake, log = node.template.parent / "bin", node.template.parent / "log"
    fake.mkdir()
    for name in ("sync", "mv", "rm", "cat", "mktemp", "sed", "chmod"):
        (fake / name).write_text(f'#!/bin/sh\necho {name} >>{log}\nexec {shutil.which(name)} "$@"\n')
        (fake / name).chmod(0o755)
    assert node.run("register", path=str(fake)).returncode == 0
    assert log.read_text().split() == ["sync", "mv"]


def test_a_reader_never_sees_half_a_file(node: Node) -> None:
    """Twenty writers of two versions at once: always a whole file of one of them, and nothing left over."""
    other = node.template.parent / "other.json"
    other.write_bytes(node.template.read_bytes().replace(b"9100", b"19100"))
    whole = {
        STACK.target_file("dgx-01", "jobstats")[1],
        STACK.target_file("dgx-01", "jobstats")[1].replace(b"9100", b"19100"),
    }
    file = node.targets / "dgx-01.json"
    writers = [
        subprocess.Popen(["/bin/bash", str(SCRIPT), "register", str(template), str(node.targets), "dgx-01"])
        for template in (node.template, other) * 10
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if file.exists():
            seen.add(file.read_bytes())
    assert [writer.returncode for writer in writers] == [0] * 20
    assert seen | {file.read_bytes()} <= whole
    assert node.files() == ["dgx-01.json"]


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_against_it() -> None:
    done = subprocess.run(["shellcheck", str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.stdout == ""
