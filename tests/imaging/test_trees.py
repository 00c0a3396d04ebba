"""Files and directories of a tree: whose they are, what is made and removed, what stands in the way."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any, Optional

import pytest

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging.trees import MANAGED, InTheWay, Tree, TreeProvider, directory_state, file_state, link_state
from bcm_jobstats.plan import planner
from bcm_jobstats.plan.model import Plan
from bcm_jobstats.plan.resource import Resource, State

MANIFEST = "etc/bcm-jobstats/manifest.json"
FILE = "image:/usr/lib/jobstats/unit"
OWNER = f"{os.getuid()}:{os.getgid()}"


class Made:
    """A tree with a provider over it, and plans carried out on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.provider = TreeProvider("file", 1, 1, [Tree("image", root, "/cm/images/image")])
        self.originals: dict[str, State] = {}

    def plan(self, *wanted: Resource, adopt: bool = False) -> Plan:
        return planner.make([self.provider], wanted, adopt=adopt, originals=self.originals)

    def apply(self, *wanted: Resource, adopt: bool = False) -> list[str]:
        plan = self.plan(*wanted, adopt=adopt)
        assert plan.conflicts == ()
        for change in plan.changes:
            if change.action == "adopt" and change.before is not None:
                self.originals[change.address] = change.before
            if change.after is None:
                self.provider.remove(change.name, change.before or {})
            else:
                self.provider.write(change.name, change.before, change.after)
        return [f"{change.action} {change.name}" for change in plan.changes]

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*"))


@pytest.fixture
def tree(tmp_path: Path) -> Made:
    (tmp_path / "root/usr/lib").mkdir(parents=True)
    return Made(tmp_path / "root")


def file(content: bytes = b"ours\n", mode: int = 0o644, name: str = FILE) -> Resource:
    return Resource("file", name, file_state(content, mode, OWNER), mark=MANAGED)


def directory(name: str = "image:/usr/lib/jobstats", mode: int = 0o755) -> Resource:
    return Resource("file", name, directory_state(mode, OWNER), mark=MANAGED)


@pytest.mark.parametrize("content", [b"", b"text\n", b"no newline", b"\xff\x00binary\r\n", "ä€\u2028".encode()])
@pytest.mark.parametrize("mode", [0o644, 0o600, 0o755])
def test_a_file_is_made_as_it_should_be_and_goes_without_a_trace(tree: Made, content: bytes, mode: int) -> None:
    before = tree.names()
    assert tree.apply(file(content, mode)) == [f"create {FILE}"]
    path = tree.root / "usr/lib/jobstats/unit"
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (content, mode)
    assert tree.apply(file(content, mode)) == []
    assert tree.apply() == [f"delete {FILE}"]
    assert tree.names() == before


def test_directories_on_the_way_stay_when_somebody_put_something_in(tree: Made) -> None:
    tree.apply(file())
    (tree.root / "usr/lib/jobstats/mine").touch()
    tree.apply()
    assert [name for name in tree.names() if not name.startswith("etc")] == [
        "usr", "usr/lib", "usr/lib/jobstats", "usr/lib/jobstats/mine"]  # fmt: skip
    assert not (tree.root / "etc").exists()


def symlink(target: str = "/opt/ours") -> Resource:
    return Resource("file", FILE, link_state(target, OWNER), mark=MANAGED, whole=True)


def test_a_link_is_made_as_it_should_be_and_goes_without_a_trace(tree: Made) -> None:
    """Whether or not it leads anywhere here: it is meant for the node."""
    before = tree.names()
    path = tree.root / "usr/lib/jobstats/unit"
    assert tree.apply(symlink()) == [f"create {FILE}"]
    assert str(path.readlink()) == "/opt/ours"
    assert tree.apply(symlink()) == []
    assert tree.apply(symlink("/opt/other")) == [f"update {FILE}"]
    assert str(path.readlink()) == "/opt/other"
    assert tree.apply() == [f"delete {FILE}"]
    assert tree.names() == before


LINK_DRIFT = {
    "elsewhere": lambda path: path.symlink_to("/dev/null"),
    "a file": lambda path: path.write_text("theirs"),
    "removed": lambda path: None,
}


@pytest.mark.parametrize("edit", LINK_DRIFT.values(), ids=LINK_DRIFT)
def test_a_link_of_ours_is_put_right(tree: Made, edit: Any) -> None:
    tree.apply(symlink())
    path = tree.root / "usr/lib/jobstats/unit"
    path.unlink()
    edit(path)
    assert len(tree.apply(symlink())) == 1
    assert str(path.readlink()) == "/opt/ours"


def test_a_link_to_a_file_of_ours_is_changed_and_the_file_is_not(tree: Made, tmp_path: Path) -> None:
    other = file(name="image:/usr/lib/jobstats/other")
    tree.apply(other, symlink(str(tree.root / "usr/lib/jobstats/other")))
    tree.apply(other, symlink())
    assert (tree.root / "usr/lib/jobstats/other").read_bytes() == b"ours\n"


DRIFT = {
    "content": lambda path: path.write_bytes(b"edited"),
    "mode": lambda path: path.chmod(0o777),
    "removed": lambda path: path.unlink(),
}


@pytest.mark.parametrize("edit", DRIFT.values(), ids=DRIFT)
def test_what_is_ours_is_put_right(tree: Made, edit: Any) -> None:
    tree.apply(file())
    path = tree.root / "usr/lib/jobstats/unit"
    edit(path)
    assert len(tree.apply(file())) == 1
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"ours\n", 0o644)
    assert tree.apply(file()) == []


def put(tree: Made, content: bytes) -> Path:
    path = tree.root / "usr/lib/jobstats/unit"
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(0o640)
    return path


def test_a_file_of_the_administrators_is_a_conflict(tree: Made) -> None:
    put(tree, b"theirs\n")
    plan = tree.plan(file())
    assert plan.changes == ()
    assert [(conflict.address, conflict.found["content"]) for conflict in plan.conflicts] == [
        (f"file.{FILE}", "theirs\n")
    ]


def test_a_file_of_the_administrators_that_is_as_wanted_stays_theirs(tree: Made) -> None:
    put(tree, b"ours\n").chmod(0o644)
    before = tree.names()
    assert tree.apply(file()) == []
    assert tree.apply() == []
    assert tree.names() == before


def test_an_adopted_file_is_given_back_as_it_was(tree: Made) -> None:
    path = put(tree, b"theirs\xff\n")
    before = tree.names()
    assert tree.apply(file(), adopt=True) == [f"adopt {FILE}"]
    assert path.read_bytes() == b"ours\n"
    assert tree.apply() == [f"update {FILE}"]
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"theirs\xff\n", 0o640)
    assert tree.names() == before
    assert tree.apply() == []


def test_a_file_without_an_entry_is_never_removed(tree: Made) -> None:
    tree.apply(file())
    manifest = json.loads((tree.root / MANIFEST).read_text())
    manifest["entries"] = {}
    (tree.root / MANIFEST).write_text(json.dumps(manifest))
    assert tree.apply() == []
    assert (tree.root / "usr/lib/jobstats/unit").exists()


def test_an_entry_without_its_file_is_struck_off(tree: Made) -> None:
    before = tree.names()
    tree.apply(file())
    (tree.root / "usr/lib/jobstats/unit").unlink()
    assert tree.apply() == [f"delete {FILE}"]
    assert tree.names() == before


def test_what_is_no_longer_wanted_goes_and_the_rest_stays(tree: Made) -> None:
    other = file(name="image:/usr/lib/jobstats/other")
    tree.apply(file(), other)
    assert tree.apply(other) == [f"delete {FILE}"]
    assert "usr/lib/jobstats/other" in tree.names()


def test_a_killed_runs_leftovers_are_taken_away(tree: Made) -> None:
    before = tree.names()
    tree.apply(file())
    (tree.root / "usr/lib/jobstats/.unit.bcm-jobstats").touch()
    tree.apply()
    assert tree.names() == before


def test_a_directory_is_made_with_its_mode_and_goes_when_it_is_empty(tree: Made) -> None:
    before = tree.names()
    tree.apply(directory(mode=0o2750))
    path = tree.root / "usr/lib/jobstats"
    assert stat.S_IMODE(path.stat().st_mode) == 0o2750
    path.chmod(0o700)
    assert tree.apply(directory(mode=0o2750)) == ["update image:/usr/lib/jobstats"]
    assert tree.apply() == ["delete image:/usr/lib/jobstats"]
    assert tree.names() == before


def test_a_directory_of_ours_with_something_of_others_in_it_is_let_go(tree: Made) -> None:
    tree.apply(directory())
    inside = tree.root / "usr/lib/jobstats/mine"
    inside.touch()
    assert tree.apply() == ["delete image:/usr/lib/jobstats"]
    assert inside.exists()
    assert tree.apply() == [], "it is not ours any more"
    assert not (tree.root / "etc").exists()


def test_a_directory_of_the_administrators_is_not_removed(tree: Made) -> None:
    (tree.root / "usr/lib/jobstats").mkdir(mode=0o755)
    (tree.root / "usr/lib/jobstats").chmod(0o755)
    assert tree.apply(directory()) == []
    assert tree.apply() == []
    assert (tree.root / "usr/lib/jobstats").is_dir()


def link(path: Path) -> None:
    path.symlink_to("/dev/null")


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def folder(path: Path) -> None:
    path.mkdir()


def full_folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("theirs")


def plain(path: Path) -> None:
    path.write_text("theirs")


@pytest.mark.parametrize(
    ("wanted", "stand"),
    [(file, one) for one in (link, dangling, folder, full_folder)]
    + [(symlink, one) for one in (plain, link, dangling, folder, full_folder)],
)
def test_what_stands_in_the_way_of_ours_is_a_conflict(tree: Made, wanted: Any, stand: Any) -> None:
    (tree.root / "usr/lib/jobstats").mkdir()
    stand(tree.root / "usr/lib/jobstats/unit")
    before = tree.names()
    plan = tree.plan(wanted())
    assert [conflict.address for conflict in plan.conflicts] == [f"file.{FILE}"]
    assert tree.names() == before


@pytest.mark.parametrize("wanted", [file, symlink])
@pytest.mark.parametrize("stand", [link, dangling])
def test_a_link_that_was_adopted_is_given_back(tree: Made, wanted: Any, stand: Any) -> None:
    (tree.root / "usr/lib/jobstats").mkdir()
    path = tree.root / "usr/lib/jobstats/unit"
    stand(path)
    was = path.readlink()
    before = tree.names()
    tree.apply(wanted(), adopt=True)
    assert path.is_symlink() == (wanted is symlink)
    assert str(path.readlink()) == "/opt/ours" if path.is_symlink() else path.read_bytes() == b"ours\n"
    tree.apply()
    assert path.is_symlink() and path.readlink() == was
    assert tree.names() == before


def test_a_file_that_was_adopted_for_a_link_is_given_back(tree: Made) -> None:
    path = put(tree, b"theirs\n")
    tree.apply(symlink(), adopt=True)
    assert path.is_symlink()
    tree.apply()
    assert (path.is_symlink(), path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (False, b"theirs\n", 0o640)


@pytest.mark.parametrize("wanted", [file, symlink])
@pytest.mark.parametrize("stand", [folder, full_folder])
def test_a_folder_in_the_way_of_ours_is_not_adopted_away(tree: Made, wanted: Any, stand: Any) -> None:
    """A clear error; the folder stays and stays the administrator's."""
    (tree.root / "usr/lib/jobstats").mkdir()
    stand(tree.root / "usr/lib/jobstats/unit")
    before = tree.names()
    with pytest.raises(JobstatsError):
        tree.apply(wanted(), adopt=True)
    tree.apply()
    assert tree.names() == before


def test_our_file_that_became_a_symlink_is_replaced_not_followed(tree: Made, tmp_path: Path) -> None:
    tree.apply(file())
    outside = tmp_path / "outside"
    outside.write_text("not ours")
    path = tree.root / "usr/lib/jobstats/unit"
    path.unlink()
    path.symlink_to(outside)
    assert tree.apply(file()) == [f"update {FILE}"]
    assert outside.read_text() == "not ours"
    assert not path.is_symlink() and path.read_bytes() == b"ours\n"


@pytest.mark.parametrize("target", ["{}/outside", "../../../outside", "{}/nosuch"])
def test_a_symlink_on_the_way_does_not_lead_out_of_the_image(tree: Made, tmp_path: Path, target: str) -> None:
    """Links of an image are meant for the node: on the head node an absolute one would lead into its own files."""
    (tmp_path / "outside").mkdir()
    (tree.root / "usr/lib/jobstats").symlink_to(target.format(tmp_path))
    with contextlib.suppress(JobstatsError):
        tree.apply(file())
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("where", ["usr/lib/jobstats", "usr/lib/jobstats/deep"])
def test_a_file_in_the_way_of_a_directory_is_a_clear_error(tree: Made, where: str) -> None:
    (tree.root / where).parent.mkdir(exist_ok=True)
    (tree.root / where).write_text("theirs")
    with pytest.raises(JobstatsError):
        tree.apply(file(name="image:/usr/lib/jobstats/deep/unit"))
    assert (tree.root / where).read_text() == "theirs"


def test_two_kinds_share_a_manifest_and_leave_each_other_alone(tree: Made) -> None:
    folders = TreeProvider("folder", 1, 1, list(tree.provider.trees.values()), types=("directory",))
    files = TreeProvider("file", 1, 1, list(tree.provider.trees.values()), types=("file",))
    folders.write("image:/usr/lib/mine", None, directory_state(0o755, OWNER))
    files.write(FILE, None, file_state(b"x", 0o644, OWNER))
    assert (set(folders.read(())), set(files.read(()))) == ({"image:/usr/lib/mine"}, {FILE})
    files.remove(FILE, file_state(b"x", 0o644, OWNER))
    assert (set(folders.read(())), set(files.read(()))) == ({"image:/usr/lib/mine"}, set())


def found(provider: TreeProvider, name: str) -> Optional[State]:
    thing = provider.read([name]).get(name)
    return thing.values if thing else None


@pytest.mark.parametrize("name", ["image:/nosuch", "image:/usr/lib/file/below"])
def test_what_is_not_there_is_not_found(tree: Made, name: str) -> None:
    (tree.root / "usr/lib/file").touch()
    assert found(tree.provider, name) is None


@pytest.mark.parametrize("wanted", [file, symlink])
def test_a_link_at_the_temporary_name_is_not_followed(tree: Made, tmp_path: Path, wanted: Any) -> None:
    """Root on a node put it there, and `image grab` brought it."""
    (tmp_path / "precious").write_text("the head's")
    (tree.root / "usr/lib/jobstats").mkdir()
    (tree.root / "usr/lib/jobstats/.unit.bcm-jobstats").symlink_to(tmp_path / "precious")
    tree.apply(wanted())
    assert (tmp_path / "precious").read_text() == "the head's"
    assert sorted(path.name for path in (tree.root / "usr/lib/jobstats").iterdir()) == ["unit"]


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        folder = os.open(path.parent, os.O_RDONLY)  # a socket's own name must be short
        one.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)


def device(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mknod needs root")
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))


ODD = {"pipe": os.mkfifo, "socket": bound, "device": device}


@pytest.mark.parametrize("wanted", [file, symlink])
@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_what_is_no_file_is_never_read_nor_replaced_nor_removed(tree: Made, make: Any, wanted: Any) -> None:
    """A pipe would keep its reader waiting for ever."""
    path = tree.root / "usr/lib/jobstats/unit"
    path.parent.mkdir()
    make(path)
    kind = path.lstat().st_mode
    assert [conflict.found["type"] for conflict in tree.plan(wanted()).conflicts] == ["other"]
    with pytest.raises(InTheWay, match="is there and is not a"):
        tree.apply(wanted(), adopt=True)
    path.unlink()
    tree.originals.clear()
    tree.apply(wanted())
    path.unlink()
    make(path)
    with pytest.raises(InTheWay):
        tree.apply(wanted())
    before = tree.provider.read(())[FILE].values
    assert tree.provider.remove(FILE, before) == {**before, MANAGED: False}
    assert path.lstat().st_mode == kind
    assert tree.provider.read(()) == {}, "struck off"


def test_a_link_where_a_directory_of_ours_goes_is_in_the_way(tree: Made, tmp_path: Path) -> None:
    """Its mode and owner would be those of what it leads to."""
    (tmp_path / "precious").mkdir(mode=0o700)
    (tree.root / "usr/lib/jobstats").symlink_to(tmp_path / "precious")
    with pytest.raises(InTheWay):
        tree.apply(directory(), adopt=True)
    assert stat.S_IMODE((tmp_path / "precious").stat().st_mode) == 0o700


COMMANDS: dict[str, tuple[Optional[State], list[str]]] = {
    "file": (file_state(b"a\nb\n", 0o600, "0:7"), ["install -D ", "-m 0600", "-o 0", "-g 7"]),
    "directory": (directory_state(0o755, "967:968"), ["install -d ", "-m 0755", "-o 967", "-g 968"]),
    "link": (link_state("/cm/shared/it's"), ["mkdir -p /cm/images/image/usr/lib", "ln -sfT '/cm/shared/it'"]),
    "removed": (None, ["rm -d "]),
}


@pytest.mark.parametrize(("after", "parts"), COMMANDS.values(), ids=COMMANDS)
def test_the_commands_name_the_path_as_an_administrator_knows_it(
    tree: Made, after: Optional[State], parts: list[str]
) -> None:
    command = "\n".join(tree.provider.commands("image:/usr/lib/it's", {}, after))
    assert [part for part in parts if part not in command] == []
    assert command.startswith(parts[0])
    assert "'/cm/images/image/usr/lib/it'\"'\"'s'" in command
    if after and after["type"] == "file":
        assert command.endswith("<<'END-OF-FILE'\na\nb\nEND-OF-FILE")


CONTENTS = {
    "usual": b"a\nb\n",
    "empty": b"",
    "no newline at the end": b'a\nit\'s $HOME `id` \\n %s "x"',
    "several": b"a\n\n\n",
    "newlines only": b"\n\n",
    "with the mark": b"a\nEND-OF-FILE\nEND-OF-FILE-2\ntouch $0.pwned\n",
    "not UTF-8": b"caf\xe9\n\x00\xff" * 40,
    "carriage returns": b"a\r\nb\r\n",
    "what changes a terminal": b"\x1b]0;title\x07\x1b[2Jhidden\n",
    "UTF-8": "caf\u00e9 \u20ac\n".encode(),
}


@pytest.mark.skipif(os.geteuid() != 0, reason="install -o needs root")
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_the_commands_make_the_same_bytes(tree: Made, tmp_path: Path, content: bytes) -> None:
    provider = TreeProvider("file", 1, 1, [Tree("image", tree.root, str(tree.root))])
    (command,) = provider.commands(FILE, None, file_state(content, 0o640, OWNER))
    assert "\x1b" not in command
    script = tmp_path / "script"
    script.write_text(f"set -eu\n{command}\necho last\n", encoding="utf-8")
    done = subprocess.run(["bash", str(script)], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("last\n", "")
    path = tree.root / "usr/lib/jobstats/unit"
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (content, 0o640)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root", "script"]
