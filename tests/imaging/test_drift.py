"""What differs from the manifest, in an image and on nodes: the same words for the same damage."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import cast

import pytest

from bcm_jobstats.bcm.cmsh.scripts import SHELL
from bcm_jobstats.bcm.port import Bcm
from bcm_jobstats.imaging import drift
from bcm_jobstats.imaging.lines import LineProvider
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.trees import MANAGED, Tree, TreeProvider, file_state, link_state

OWNER = f"{os.getuid()}:{os.getgid()}"
FILE, LINK, PASSWD = "/usr/lib/bcm-jobstats/a script", "/cm/local/link", "/etc/passwd"


class FakeBcm:
    """Nodes are directories, and `pexec` a shell whose root is one of them (only /etc/.. is taken there)."""

    def __init__(self, nodes: Mapping[str, Path]) -> None:
        self.nodes = nodes
        self.calls: list[str] = []

    def execute(self, nodes: Collection[str], command: str) -> Mapping[str, str]:
        assert SHELL.fullmatch(command), "cmsh would not take it"
        self.calls.append(command)
        return {node: self.shell(self.nodes[node], command) for node in nodes if node in self.nodes}

    def shell(self, root: Path, command: str) -> str:
        words = ["sh", "-c", command.replace("/etc/..", f"{root}/etc/..")]
        return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An image with a file, a link and a line of ours."""
    tree = Tree("image", tmp_path / "image", "/cm/images/image")
    (tree.root / "etc").mkdir(parents=True)
    (tree.root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    files = TreeProvider("file", 1, 1, [tree])
    files.write(f"image:{FILE}", None, file_state(b"ours\n", 0o755, OWNER))
    files.write(f"image:{LINK}", None, link_state("/cm/shared/x", OWNER))
    LineProvider(1, 1, [tree]).write(
        f"image:{PASSWD}:jobstats", None, {"line": "jobstats:x:450:450::/:", MANAGED: True}
    )
    return tree


def rewrite(path: Path, text: str = "edited\n") -> None:
    path.unlink()
    path.write_text(text)


def replaced(path: Path, by: Callable[[Path], None]) -> None:
    path.unlink()
    by(path)


DAMAGE: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]]]] = {
    "nothing": (lambda root: None, []),
    "file gone": (lambda root: (root / FILE[1:]).unlink(), [(FILE, "missing")]),
    "file edited": (lambda root: (root / FILE[1:]).write_text("edited\n"), [(FILE, "content")]),
    "file emptied": (lambda root: (root / FILE[1:]).write_text(""), [(FILE, "content")]),
    "mode": (lambda root: (root / FILE[1:]).chmod(0o644), [(FILE, "mode: 0644, not 0755")]),
    "setuid": (lambda root: (root / FILE[1:]).chmod(0o4755), [(FILE, "mode: 4755, not 0755")]),
    "world-writable": (lambda root: (root / FILE[1:]).chmod(0o777), [(FILE, "mode: 0777, world-writable, not 0755")]),
    "a pipe": (lambda root: replaced(root / FILE[1:], os.mkfifo), [(FILE, "type: something else, not a file")]),
    "a link": (
        lambda root: replaced(root / FILE[1:], lambda path: path.symlink_to("/dev/zero")),
        [(FILE, "type: a symbolic link, not a file")],
    ),
    "link elsewhere": (
        lambda root: replaced(root / LINK[1:], lambda path: path.symlink_to("/tmp/x y")),
        [(LINK, "link target: /tmp/x y, not /cm/shared/x")],
    ),
    "link became a file": (lambda root: rewrite(root / LINK[1:]), [(LINK, "type: a file, not a symbolic link")]),
    "directory": (
        lambda root: (root / "usr/lib/bcm-jobstats").chmod(0o777),
        [("/usr/lib/bcm-jobstats", "mode: 0777, world-writable")],
    ),
    "directory gone": (
        lambda root: shutil.rmtree(root / "cm/local"),
        [("/cm/local", "missing"), (LINK, "missing")],
    ),
    "line": (
        lambda root: (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n"),
        [(PASSWD, "line of jobstats missing")],
    ),
    "file of lines": (lambda root: (root / "etc/passwd").unlink(), [(PASSWD, "line of jobstats missing")]),
}


def pairs(found: Collection[drift.Difference] | None) -> list[tuple[str, str]]:
    assert found is not None
    return [(one.path, one.what) for one in found]


@pytest.mark.parametrize(("damage", "says"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named_in_an_image_and_on_a_node(
    tree: Tree, tmp_path: Path, damage: Callable[[Path], object], says: list[tuple[str, str]]
) -> None:
    manifest = Manifest(tree.root, tree.manifest)
    subprocess.run(["cp", "-a", str(tree.root), str(tmp_path / "node")], check=True)
    damage(tmp_path / "node")
    nodes = drift.of_nodes(cast("Bcm", FakeBcm({"n1": tmp_path / "node"})), ["n1"], manifest)
    assert pairs(nodes["n1"]) == says
    damage(tree.root)
    assert pairs(drift.of_tree(tree)) == says


def test_a_node_without_anything_of_ours_lacks_all_and_one_that_is_down_is_told(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "bare/etc").mkdir(parents=True)
    bcm = FakeBcm({"n1": tmp_path / "bare"})
    found = drift.of_nodes(cast("Bcm", bcm), ["n1", "n2"], Manifest(tree.root, tree.manifest))
    assert found["n2"] is None
    assert (tree.manifest, "missing") in pairs(found["n1"])
    assert {what for _, what in pairs(found["n1"])} == {"missing", "line of jobstats missing"}
    assert len(bcm.calls) == 1


def test_another_manifest_and_another_line_on_a_node_differ(tree: Tree, tmp_path: Path) -> None:
    subprocess.run(["cp", "-a", str(tree.root), str(tmp_path / "node")], check=True)
    (tmp_path / "node/etc/bcm-jobstats/manifest.json").write_text("{}")
    text = (tmp_path / "node/etc/passwd").read_text()
    (tmp_path / "node/etc/passwd").write_text(text.replace("450", "451"))
    found = drift.of_nodes(cast("Bcm", FakeBcm({"n1": tmp_path / "node"})), ["n1"], Manifest(tree.root, tree.manifest))
    assert pairs(found["n1"]) == [(tree.manifest, "content"), (PASSWD, "line of jobstats differs")]


@pytest.mark.parametrize("cut", [2, 20, 200])
def test_an_answer_that_was_cut_is_no_answer(tree: Tree, cut: int) -> None:
    class Cutting(FakeBcm):
        def shell(self, root: Path, command: str) -> str:
            return super().shell(root, command)[:-cut]

    bcm = Cutting({"n1": tree.root})
    assert drift.of_nodes(cast("Bcm", bcm), ["n1"], Manifest(tree.root, tree.manifest)) == {"n1": None}


def test_nobody_is_asked_for_no_nodes(tree: Tree) -> None:
    bcm = FakeBcm({})
    assert drift.of_nodes(cast("Bcm", bcm), [], Manifest(tree.root, tree.manifest)) == {}
    assert bcm.calls == []


def test_packages_of_a_node_are_compared(tree: Tree) -> None:
    manifest = Manifest(tree.root, tree.manifest)
    manifest.packages = {"first": "1.2-3", "second": "4"}
    answer = {
        "both": "Package: first\nStatus: install ok installed\nVersion: 1.2-3\nPackage: second\n"
        "Status: install ok installed\nVersion: 4",
        "other": "Package: first\nStatus: install ok installed\nVersion: 1.2-4",
        "rpm": "first-1.2-3.x86_64\nsecond-4-1.el9.x86_64",
        "removed": "Package: first\nStatus: deinstall ok config-files\nVersion: 1.2-3\nsecond-4",
    }

    class Telling(FakeBcm):
        def execute(self, nodes: Collection[str], command: str) -> Mapping[str, str]:
            real = self.shell(tree.root, command).splitlines()
            kept = [line for line in real if not line.startswith(("Package", "Status", "Version"))]
            return {node: "\n".join([*kept[:-1], answer[node], kept[-1]]) + "\n" for node in nodes}

    manifest.save()
    found = drift.of_nodes(cast("Bcm", Telling({})), list(answer), manifest)
    assert pairs(found["both"]) == pairs(found["rpm"]) == []
    assert pairs(found["other"]) == [("first", "package 1.2-4, not 1.2-3"), ("second", "package missing, not 4")]
    assert pairs(found["removed"]) == [("first", "package missing, not 1.2-3")]


def test_an_image_with_a_link_out_of_it_is_told(tree: Tree, tmp_path: Path) -> None:
    (tree.root / "usr/lib/bcm-jobstats").rename(tmp_path / "elsewhere")
    (tree.root / "usr/lib/bcm-jobstats").symlink_to(tmp_path / "elsewhere")
    said = dict(pairs(drift.of_tree(tree)))
    assert said[FILE] == "a symbolic link on the way (/usr/lib/bcm-jobstats) leads out of the image"


def test_nothing_of_ours_differs_in_nothing(tmp_path: Path) -> None:
    assert drift.of_tree(Tree("image", tmp_path, "/cm/images/image")) == []


def test_packages_of_an_image_are_compared(tree: Tree) -> None:
    manifest = Manifest(tree.root, tree.manifest)
    manifest.packages = {"first": "1.2-3"}
    manifest.save()
    assert drift.of_tree(tree) == [], "an image without a package manager cannot be asked"
    for name in ("dpkg", "apt-get"):
        (tree.root / "usr/bin").mkdir(exist_ok=True)
        (tree.root / "usr/bin" / name).touch()
    assert pairs(drift.of_tree(tree)) == [("first", "package missing, not 1.2-3")]
    status = tree.root / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text("Package: first\nStatus: install ok installed\nVersion: 1.2-3\n")
    assert drift.of_tree(tree) == []
