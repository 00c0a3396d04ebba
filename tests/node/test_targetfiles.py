"""The targets directory in every state that a node can find it in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

from bcm_jobstats import data
from bcm_jobstats.node.config import STAGING
from bcm_jobstats.node.ports import NoFolder, StorageLost
from bcm_jobstats.node.storage import Storage
from bcm_jobstats.node.targetfiles import TargetFiles
from bcm_jobstats.stack import targets

NAME, CONTENT = "dgx-01.json", b'[{"targets": ["dgx-01:9100"]}]\n'
STORAGE = Storage(60)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "shared/prometheus-targets"
    made.mkdir(parents=True)
    (made.parent / targets.STAGING).mkdir()
    return made


def everything(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory.parent)) for path in directory.parent.rglob("*") if not path.is_dir())


def test_it_is_written_once_read_and_removed_once(directory: Path) -> None:
    files = TargetFiles(directory, STORAGE)
    assert files.read(NAME) is None
    assert [files.put(NAME, CONTENT), files.put(NAME, CONTENT)] == [True, False]
    assert files.read(NAME) == CONTENT
    assert (directory / NAME).stat().st_mode & 0o777 == 0o644
    assert everything(directory) == [f"prometheus-targets/{NAME}"]
    assert [files.remove(NAME), files.remove(NAME)] == [True, False]
    assert everything(directory) == []


def test_what_is_equal_is_not_written_again_by_it_or_the_script(directory: Path, tmp_path: Path) -> None:
    """A node that changes its mode keeps its target: both write the same file in the same way."""
    files, file = TargetFiles(directory, STORAGE), directory / NAME
    files.put(NAME, CONTENT)
    before = file.stat()
    template = tmp_path / "template"
    template.write_bytes(CONTENT.replace(b"dgx-01", b"@HOST@"))
    script = data.path("scripts") / "jobstats-target"
    subprocess.run(["/bin/bash", str(script), "register", str(template), str(directory), "dgx-01"], check=True)
    files.put(NAME, CONTENT)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert STAGING == targets.STAGING


@pytest.mark.parametrize("there", ["text", "longer", "link", "dangling", "pipe"])
def test_what_differs_is_replaced_by_a_new_file(directory: Path, tmp_path: Path, there: str) -> None:
    file, other = directory / NAME, tmp_path / "other"
    other.write_bytes(CONTENT)
    if there == "pipe":
        os.mkfifo(file)
    elif there in ("link", "dangling"):
        file.symlink_to(other if there == "link" else tmp_path / "nowhere")
    else:
        file.write_bytes(b"[]\n" if there == "text" else CONTENT * 2)
    assert TargetFiles(directory, STORAGE).put(NAME, CONTENT)
    assert file.read_bytes() == CONTENT and not file.is_symlink()
    assert other.read_bytes() == CONTENT
    assert not (tmp_path / "nowhere").exists()


def test_the_folder_of_unfinished_files_is_made_where_it_is_missing(directory: Path) -> None:
    (directory.parent / targets.STAGING).rmdir()
    if os.geteuid() == 0:
        os.chown(directory, 967, 967)
    assert TargetFiles(directory, STORAGE).put(NAME, CONTENT)
    owners = {path.stat().st_uid for path in (directory, directory.parent / targets.STAGING, directory / NAME)}
    assert len(owners) == 1, "written by root's hand, it is the service's all the same"


def test_a_missing_directory_is_lost_for_every_call(tmp_path: Path) -> None:
    files = TargetFiles(tmp_path / "nowhere", STORAGE)
    acts: list[Callable[[], object]] = [
        lambda: files.put(NAME, CONTENT),
        lambda: files.remove(NAME),
        lambda: files.read(NAME),
    ]
    for act in acts:
        with pytest.raises(StorageLost, match="there is no such folder") as caught:
            act()
        assert caught.value.subject == str(tmp_path / "nowhere")
        assert "mounted" in caught.value.remedy
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(("directory", "kind"), [("gone", NoFolder), ("nowhere/gone", StorageLost)])
def test_a_directory_that_was_removed_is_told_from_storage_that_is_away(
    tmp_path: Path, directory: str, kind: type[StorageLost]
) -> None:
    with pytest.raises(StorageLost) as caught:
        TargetFiles(tmp_path / directory, STORAGE).remove(NAME)
    assert type(caught.value) is kind


def test_a_folder_in_the_place_of_the_file_is_told_and_left(directory: Path) -> None:
    (directory / NAME).mkdir()
    files = TargetFiles(directory, STORAGE)
    acts: list[Callable[[], object]] = [lambda: files.put(NAME, CONTENT), lambda: files.remove(NAME)]
    for act in acts:
        with pytest.raises(StorageLost, match="a folder in the place of the target file"):
            act()
    assert everything(directory) == []


INSIDE = """
import sys
from pathlib import Path
from bcm_jobstats.node.ports import StorageLost
from bcm_jobstats.node.storage import Storage
from bcm_jobstats.node.targetfiles import TargetFiles
directory = Path(sys.argv[1])
for name in sys.argv[2:]:
    try:
        print(TargetFiles(directory, Storage(60)).put(name, b"x" * 100_000))
    except StorageLost as error:
        print(error.cause)
print(sorted(path.name for path in directory.parent.rglob("*") if path.is_file()))
"""


@pytest.mark.parametrize(
    ("options", "then", "told"),
    [
        ("size=64k", "true", "the file system is full\n['a.json']\n"),
        ("size=1m", 'mount -o remount,ro "$1"', "is read-only\n['a.json']\n"),
        ("size=1m", 'rm "$1/t/a.json"; mount -o remount,ro "$1"; set -- "$1" "$2" "$REMOVE"', "False\n[]\n"),
    ],
)
def test_a_file_system_that_takes_nothing_keeps_what_it_has(tmp_path: Path, options: str, then: str, told: str) -> None:
    """Real ones, in a mount namespace of their own."""
    command = ["unshare", "--mount", "bash", "-ec"]
    made = (
        f'mount -t tmpfs -o {options} none "$1"; mkdir "$1/t" "$1/{targets.STAGING}"; echo old >"$1/t/a.json"; {then}'
    )
    if subprocess.run([*command, made, "-", str(tmp_path)], capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system")
    script = f'{made}; "$2" -c "$3" "$1/t" a.json'
    done = subprocess.run(
        [*command, script, "-", str(tmp_path), sys.executable, INSIDE],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "REMOVE": INSIDE.replace('put(name, b"x" * 100_000)', "remove(name)")},
    )
    assert (done.stdout, done.stderr) == (told, "")
