"""Packages of images: a tiny one of our own in a real Debian tree, and the words for those without one here."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from bcm_jobstats.imaging import managers, payload
from bcm_jobstats.imaging.build import NoJournal
from bcm_jobstats.imaging.chroot import Chroot, ChrootFailed
from bcm_jobstats.imaging.managers import Apt, NoManager, Rpm
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.originals import SharedOriginals
from bcm_jobstats.imaging.packages import PackageProvider, WrongPackage
from bcm_jobstats.imaging.store import Store
from bcm_jobstats.imaging.trees import DEFAULT_MANIFEST, Tree
from bcm_jobstats.plan import planner
from bcm_jobstats.plan.apply import carry_out
from bcm_jobstats.plan.resource import Resource
from bcm_jobstats.simulator.lab import bases, disks
from tests.harness import until
from tests.lab import labs

NAME = "image:jobstats-test"


def install(root: Path, *programs: str) -> Path:
    """A tree with nothing but these programs, by name."""
    for program in programs:
        file = root / "usr/bin" / program
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


MANAGERS: dict[str, tuple[tuple[str, ...], Optional[str]]] = {
    "Ubuntu": (("dpkg", "apt-get"), "apt"),
    "RHEL": (("rpm", "dnf", "yum"), "dnf"),
    "SLES": (("rpm", "zypper"), "zypper"),
    "CentOS": (("rpm", "yum"), "yum"),
    "dpkg as a tool of RHEL": (("rpm", "dnf", "dpkg"), "dnf"),
    "nothing": ((), None),
}


@pytest.mark.parametrize(("programs", "told"), MANAGERS.values(), ids=MANAGERS)
def test_the_manager_is_told_by_the_programs(tmp_path: Path, programs: tuple[str, ...], told: Optional[str]) -> None:
    chroot = Chroot(install(tmp_path, *programs))
    if told is None:
        with pytest.raises(NoManager, match="/cm/images/x: has neither apt-get, dnf, zypper nor yum"):
            managers.of_tree(chroot, "/cm/images/x")
        return
    manager = managers.of_tree(chroot, "/cm/images/x")
    assert isinstance(manager, Apt) if told == "apt" else isinstance(manager, Rpm) and manager.tool == told


STATUS = """\
Package: whole
Status: install ok installed
Version: 1:2.0-3
Description: words
 with: a colon
 Package: trap

Package: removed
Status: deinstall ok config-files
Version: 1.0

Package: half
Status: install ok half-configured
Version: 1.0

Package: held
Status: hold ok installed
Version: 4.0~rc1
"""


def test_what_dpkg_has_is_read_from_its_own_file(tmp_path: Path) -> None:
    """Without root, and without a command."""
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(STATUS)
    asked = ["whole", "removed", "half", "held", "trap", "none"]
    assert Apt(Chroot(tmp_path)).versions(asked) == {"whole": "1:2.0-3", "held": "4.0~rc1"}


COMMANDS = {
    "dnf": (["dnf", "--assumeyes", "install", "dcgm-4.5-1"], ["rpm", "--erase", "dcgm"]),
    "yum": (["yum", "--assumeyes", "install", "dcgm-4.5-1"], ["rpm", "--erase", "dcgm"]),
    "zypper": (["zypper", "--non-interactive", "install", "--oldpackage", "dcgm=4.5-1"], ["rpm", "--erase", "dcgm"]),
}


@pytest.mark.parametrize(("tool", "commands"), COMMANDS.items())
def test_the_words_for_rpm(tmp_path: Path, tool: str, commands: tuple[list[str], list[str]]) -> None:
    """Not run against a real one: there is none here."""
    rpm = Rpm(Chroot(tmp_path), tool)
    assert (rpm.installing("dcgm", "4.5-1"), rpm.removing("dcgm")) == commands


def test_what_rpm_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = "dcgm (none):4.5-1\nother 1:2-3\ngpg-pubkey (none):1-2\nthird 0:7-1.el9\n"
    monkeypatch.setattr(Chroot, "run", lambda *_: told)
    versions = Rpm(Chroot(tmp_path), "dnf").versions(["dcgm", "other", "third", "none"])
    assert versions == {"dcgm": "4.5-1", "other": "1:2-3", "third": "7-1.el9"}


def test_an_image_without_packages_of_ours_is_asked_nothing(tmp_path: Path) -> None:
    provider = PackageProvider(1, 1, [Tree("image", tmp_path, "/x")], Store.of_head(tmp_path), tmp_path)
    assert provider.read([]) == {}


class Installs:
    """Stand-in of a package manager: tells what it was given."""

    suffix = ".deb"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.given: list[tuple[int, bytes]] = []

    def tell(self, file: str) -> tuple[str, str]:
        return ("jobstats-test", "1.0")

    def install_file(self, file: str) -> None:
        path = self.root / file.lstrip("/")
        assert not path.is_symlink() and not path.parent.is_symlink()
        self.given.append((path.stat().st_mode & 0o777, path.read_bytes()))


@pytest.mark.parametrize("place", ["bcm-jobstats-packages", "bcm-jobstats-packages/jobstats-test.deb"])
def test_links_where_the_packages_file_is_put_are_not_followed(tmp_path: Path, place: str) -> None:
    """/var/tmp of a node is everybody's, and `image grab` brings what lies there."""
    (tmp_path / "heads").mkdir()
    (tmp_path / "heads/jobstats-test.deb").write_bytes(b"the head's")
    (tmp_path / "x.deb").write_bytes(b"package")
    link = tmp_path / "image/var/tmp" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "heads" / ("" if "/" not in place else "jobstats-test.deb"))
    tree = Tree("image", tmp_path / "image", "/x")
    provider = PackageProvider(1, 1, [tree], Store.of_head(tmp_path), tmp_path)
    manager = Installs(tree.root)
    provider._install_file(tree, manager, tmp_path / "x.deb", ("jobstats-test", "1.0"), "")  # type: ignore[arg-type]
    assert manager.given == [(0o644, b"package")]
    assert [path.read_bytes() for path in (tmp_path / "heads").iterdir()] == [b"the head's"]
    assert list((tmp_path / "image/var/tmp").iterdir()) == []


class Image:
    """A scratch layer over a Debian tree, a provider over it, and plans carried out on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "image"
        self.tree = Tree("image", self.root, "/cm/images/image")
        self.store = Store.of_head(folder)
        self.provider = PackageProvider(1, 1, [self.tree], self.store, folder)
        self.originals = SharedOriginals(payload.shared_tree(folder / "head"))

    def supply(self, version: str = "1.0-1", claims: str = "", **files: str) -> None:
        """Put a package's file where the site's word would have put it."""
        deb = package(self.folder, claims or version, **files)
        self.store.learn(f"package jobstats-test {version} x86_64", self.store.put_file(deb))

    def apply(self, version: Optional[str], *, adopt: bool = False) -> list[str]:
        values = {"version": version, "managed": True}
        wanted = [Resource("package", NAME, values, mark="managed", whole=True)] if version else []
        plan = planner.make([self.provider], wanted, adopt=adopt, originals=self.originals.all())
        assert plan.conflicts == ()
        carry_out(plan, [self.provider], NoJournal(), self.originals)
        return [f"{change.action} {change.name}" for change in plan.changes]

    def installed(self) -> Optional[str]:
        return Apt(Chroot(self.root)).versions(["jobstats-test"]).get("jobstats-test")

    def leftovers(self) -> list[str]:
        """What the scratch layer has beyond dpkg's own records."""
        layer = self.folder / "disk/upper"
        own = ("var/lib/dpkg", "var/log", "var/cache", "var/lib/apt", "var/lib/systemd")
        names = (str(path.relative_to(layer)) for path in layer.rglob("*") if not path.is_dir())
        return sorted(name for name in names if not name.startswith(own))


def package(folder: Path, version: str, **scripts: str) -> Path:
    """A tiny package with a unit and a script that starts it, as Debian's helpers write them."""
    tree = folder / f"deb-{version}"
    files = {
        "DEBIAN/control": f"Package: jobstats-test\nVersion: {version}\nArchitecture: all\n"
        "Maintainer: x <x@localhost>\n"
        "Description: stand-in for an exporter's package\n",
        "DEBIAN/postinst": "#!/bin/sh\nset -e\ninvoke-rc.d --force jobstats-test-old start\n"
        "systemctl enable jobstats-test\nsystemctl start jobstats-test\n",
        "etc/init.d/jobstats-test-old": "#!/bin/sh\ntouch /started\n",
        "lib/systemd/system/jobstats-test.service": "[Service]\nExecStart=/bin/true\n\n"
        "[Install]\nWantedBy=multi-user.target\n",
        "usr/bin/jobstats-test": f"#!/bin/sh\necho {version}\n",
        **scripts,
    }
    for name, content in files.items():
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o644 if name.endswith(("control", "service")) else 0o755)
    deb = folder / f"jobstats-test_{version}.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, deb], check=True, capture_output=True)
    return deb


needs_lab = pytest.mark.skipif(bool(labs.missing()), reason=labs.missing() or "")


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Image]:
    base = bases.build("bookworm", print)
    try:
        disks.mount_overlay(tmp_path / "image", [base.node], tmp_path / "disk")
        yield Image(tmp_path)
    finally:
        disks.unmount_below(tmp_path)


@pytest.mark.lab
@needs_lab
def test_a_packages_file_is_installed_once_and_starts_nothing(image: Image) -> None:
    image.supply()
    assert image.apply("1.0-1") == [f"create {NAME}"]
    assert image.installed() == "1.0-1"
    assert Manifest(image.root, DEFAULT_MANIFEST).packages == {"jobstats-test": "1.0-1"}
    assert image.leftovers() == [
        "etc/bcm-jobstats/manifest.json",
        "etc/init.d/jobstats-test-old",
        "etc/systemd/system/multi-user.target.wants/jobstats-test.service",
        "usr/bin/jobstats-test",
        "usr/lib/systemd/system/jobstats-test.service",
    ]
    assert image.apply("1.0-1") == []
    assert disks.mounts_below(image.root) == [image.root]
    assert not list((image.folder / "disk/upper").glob("var/cache/apt/*.bin")), "repositories were asked"
    image.supply("0.9-1")
    assert image.apply("0.9-1") == [f"update {NAME}"]
    assert image.installed() == "0.9-1"
    assert image.apply(None) == [f"delete {NAME}"]
    assert image.installed() is None
    assert image.leftovers() == ["etc/systemd/system/multi-user.target.wants/jobstats-test.service"], "our script's own"


@pytest.mark.lab
@needs_lab
def test_what_an_administrator_installed_stays_theirs_and_comes_back(image: Image) -> None:
    image.supply("1.0-1")
    image.supply("2.0-1")
    Apt(Chroot(image.root)).chroot.run(["true"])
    deb = image.root / "var/tmp/x.deb"
    deb.write_bytes(package(image.folder, "1.0-1").read_bytes())
    Chroot(image.root).run(["dpkg", "--install", "/var/tmp/x.deb"])
    assert image.apply("1.0-1") == [] == image.apply(None)
    assert image.apply("2.0-1", adopt=True) == [f"adopt {NAME}"]
    assert image.installed() == "2.0-1"
    assert image.apply(None) == [f"update {NAME}"]
    assert image.installed() == "1.0-1"
    assert image.apply(None) == []


@pytest.mark.lab
@needs_lab
def test_refusals_leave_the_image_as_it_was(image: Image) -> None:
    """A file that is another package than the site file says; one that cannot be had; one whose script fails."""
    image.supply("3.0-1", claims="1.0-1")
    with pytest.raises(
        WrongPackage, match=r"jobstats-test 3.0-1 for software image image: its file is jobstats-test 1.0-1"
    ):
        image.apply("3.0-1")
    assert (image.installed(), image.leftovers()) == (None, ["etc/bcm-jobstats/manifest.json"])
    assert image.apply(None) == [f"delete {NAME}"]
    assert image.leftovers() == []
    image.supply("4.0-1", **{"DEBIAN/preinst": "#!/bin/sh\necho no room on this moon >&2\nexit 1\n"})
    with pytest.raises(ChrootFailed, match="no room on this moon"):
        image.apply("4.0-1")
    assert image.installed() is None
    assert "var/tmp/bcm-jobstats-packages" not in " ".join(image.leftovers())


@pytest.mark.lab
@needs_lab
def test_killed_while_it_installs_the_next_run_completes(image: Image) -> None:
    """In the middle of dpkg's work: what it left half done is mended."""
    word = f"9{os.getpid()}.{time.monotonic_ns()}"
    slow = {"DEBIAN/postinst": f"#!/bin/sh\ntest -e /patient && exit 0\ntouch /begun\nsleep {word}\n"}
    image.supply(**slow)
    child = os.fork()
    if child == 0:
        try:
            image.apply("1.0-1")
        finally:
            os._exit(0)
    until((image.root / "begun").exists, 20)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    until(lambda: disks.mounts_below(image.root) == [image.root] and not _sleeping(word), 20)
    assert image.installed() is None
    (image.root / "patient").touch()
    assert image.apply("1.0-1") == [f"create {NAME}"]
    assert image.installed() == "1.0-1"
    assert not (image.root / "var/tmp/bcm-jobstats-packages").exists()


def _sleeping(word: str) -> bool:
    found: Any = subprocess.run(["pgrep", "-f", f"sleep {word}"], capture_output=True, check=False)
    return bool(found.stdout)


@pytest.mark.lab
@needs_lab
def test_a_version_of_the_images_own_repositories(image: Image) -> None:
    """A repository in a folder: exactly the version that is asked for, and a clear error for one that it has not."""
    repository = image.root / "srv/repository"
    repository.mkdir(parents=True)
    for version in ("1.0-1", "2.0-1"):
        deb = package(image.folder, version)
        (repository / deb.name).write_bytes(deb.read_bytes())
    index = subprocess.run(
        ["dpkg-scanpackages", "--multiversion", "."], cwd=repository, check=True, capture_output=True
    ).stdout
    (repository / "Packages").write_bytes(index)
    for listed in (image.root / "etc/apt").glob("sources.list*"):
        subprocess.run(["rm", "-rf", listed], check=True)
    (image.root / "etc/apt/sources.list").write_text("deb [trusted=yes] file:/srv/repository ./\n")
    assert image.apply("1.0-1") == [f"create {NAME}"]
    assert image.installed() == "1.0-1"
    with pytest.raises(ChrootFailed, match=r"Version '9.9-1' for 'jobstats-test' was not found"):
        image.apply("9.9-1")
    assert image.installed() == "1.0-1"
    assert image.apply("2.0-1") == [f"update {NAME}"]
