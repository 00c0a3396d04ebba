"""What is looked at in an image after its build: each check fails for what it is there for, and says when it did not
run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bcm_jobstats.imaging import postchecks
from bcm_jobstats.imaging.contents import Content
from bcm_jobstats.imaging.lines import LineProvider
from bcm_jobstats.imaging.postchecks import FAILED, NOT_RUN, OK, WARNING, Check
from bcm_jobstats.imaging.trees import MANAGED, Tree, TreeProvider, file_state
from bcm_jobstats.simulator.lab import bases, disks
from bcm_jobstats.site import Site
from bcm_jobstats.stack import Stack, load_definitions
from tests.lab import labs

OWNER = f"{os.getuid()}:{os.getgid()}"
PASSWD = "jobstats:x:{}:967::/nonexistent:/usr/sbin/nologin"
ELF = b"\x7fELF\x02\x01\x01" + b"\0" * 9 + b"\x02\0"
MACHINES = {"x86_64": b"\x3e\0", "aarch64": b"\xb7\0"}


class Image:
    """A tree with an empty exporter for each that the role has, and a user."""

    def __init__(self, root: Path) -> None:
        self.tree = Tree("image", root, "/cm/images/image")
        self.stack = Stack(Site(), load_definitions())
        for _, binary in self.stack.binaries(["jobstats"]):
            self.put(binary, b"")
        self.put("/etc/passwd", b"root:x:0:0::/root:/bin/sh\n")
        self.user(967)

    def put(self, path: str, content: bytes) -> Path:
        file = self.tree.root / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def ours(self, path: str, content: bytes) -> None:
        TreeProvider("file", 1, 1, [self.tree]).write(f"image:{path}", None, file_state(content, 0o644, OWNER))

    def user(self, number: int) -> None:
        line = {"line": PASSWD.format(number), MANAGED: True}
        LineProvider(1, 1, [self.tree]).write("image:/etc/passwd:jobstats", None, line)

    def checks(self) -> list[Check]:
        return postchecks.run(self.tree, Path("/"), self.stack, Content(frozenset({"jobstats"})))

    def state(self, name: str) -> list[tuple[str, str]]:
        return [(one.state, one.detail) for one in self.checks() if one.name == name]


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


def test_an_image_as_built_passes_and_what_could_not_be_run_is_told(image: Image) -> None:
    checks = image.checks()
    assert not [one for one in checks if one.state in {FAILED, WARNING}]
    assert all(one.detail for one in checks if one.state == NOT_RUN)
    assert image.state("units") == [(NOT_RUN, "there is none")]


KEY = b"-----BEGIN RSA PRIVATE KEY-----\nx\n"
FAULTS: dict[str, tuple[Callable[[Image], object], str, str, str]] = {
    "user of people": (lambda image: image.user(1000), "user jobstats", FAILED, "number 1000, which must be 1 to 999"),
    "root": (lambda image: image.user(0), "user jobstats", FAILED, "number 0, which must be 1 to 999"),
    "user lost": (
        lambda image: image.put("/etc/passwd", b"root:x:0:0::/root:/bin/sh\n"),
        "user jobstats",
        FAILED,
        "the image has no such user",
    ),
    "key in a file of ours": (lambda image: image.ours("/etc/x.conf", KEY), "no private keys", FAILED, "/etc/x.conf"),
    "key by its name": (lambda image: image.ours("/etc/x.key", b"x"), "no private keys", FAILED, "/etc/x.key"),
    "a word about keys": (lambda image: image.ours("/etc/x.conf", b"no PRIVATE KEY here\n"), "no private keys", OK, ""),
    "admin key of before": (
        lambda image: image.put("/root/.cm/admin.key", KEY),
        "no private keys",
        WARNING,
        "in the image before: /root/.cm/admin.key",
    ),
    "role monitor's key of before": (
        lambda image: image.put("/etc/bcm-role-monitor/admin.key", KEY),
        "no private keys",
        WARNING,
        "in the image before: /etc/bcm-role-monitor/admin.key; a role monitor's key: remove it, and revoke its "
        "certificate in cmsh (cert)",
    ),
    "role monitor's state of before": (
        lambda image: image.put("/var/lib/bcm-role-monitor/dgx-01_state.json", b"{}"),
        "no state of a running system",
        WARNING,
        "in the image before: /var/lib/bcm-role-monitor; what the role monitor of one node knows: remove it",
    ),
    "state of ours": (lambda image: image.ours("/run/x", b""), "no state of a running system", FAILED, "/run/x"),
    "time series of before": (
        lambda image: [image.put(f"/var/lib/prometheus/metrics2/{name}/0", b"x") for name in ("wal", "chunks_head")],
        "no state of a running system",
        WARNING,
        "in the image before: /var/lib/prometheus/metrics2",
    ),
    "map of before": (
        lambda image: image.put("/run/gpustat/0", b"1 2"),
        "no state of a running system",
        WARNING,
        "in the image before: /run/gpustat",
    ),
    "a key without a name": (
        lambda image: image.put("/opt/tool/x", KEY),
        "no private keys",
        WARNING,
        "in the image before: /opt/tool/x",
    ),
    "program gone": (
        lambda image: (image.tree.root / "usr/local/bin/node_exporter").unlink(),
        "program /usr/local/bin/node_exporter",
        FAILED,
        "is not there",
    ),
    "program of another processor": (
        lambda image: (
            image.put("/usr/bin/bash", ELF + MACHINES["aarch64"]),
            image.put("/usr/local/bin/node_exporter", ELF + MACHINES["x86_64"]),
        ),
        "program /usr/local/bin/node_exporter",
        FAILED,
        "is for x86_64, and the image is for aarch64",
    ),
}


@pytest.mark.parametrize(("fault", "name", "state", "detail"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_found(
    image: Image, fault: Callable[[Image], object], name: str, state: str, detail: str
) -> None:
    fault(image)
    assert (state, detail) in image.state(name)


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Image]:
    """An image with a whole Debian below it; what is written goes into a layer of this test."""
    missing = labs.missing()
    if missing:
        pytest.skip(missing)
    try:
        disks.mount_overlay(tmp_path / "image", [bases.build("bookworm", print).node], tmp_path / "disk")
        yield Image(tmp_path / "image")
    finally:
        disks.unmount_below(tmp_path)


@pytest.mark.lab
def test_in_a_whole_image_units_are_verified_and_programs_are_run(real: Image) -> None:
    exporters = {"node_exporter": b"echo node_exporter, version 1.9.1 >&2", "cgroup_exporter": b"echo 0.3.1",
                 "nvidia_gpu_exporter": b"exit 3"}  # fmt: skip
    for name, command in exporters.items():
        real.put(f"/usr/local/bin/{name}", b"#!/bin/sh\n" + command + b"\n").chmod(0o755)
    units = TreeProvider("file", 1, 1, [real.tree])
    for file in real.stack.payload(["jobstats"]):
        units.write(f"image:{file.path}", None, file_state(file.content, file.mode, OWNER))
    checks = {one.name: one for one in real.checks()}
    bad = {name: one.detail for name, one in checks.items() if one.state == FAILED and name.startswith("unit ")}
    assert bad == {}
    assert checks["unit node_exporter.service"].state == OK
    assert checks["program /usr/local/bin/node_exporter"] == Check(
        "program /usr/local/bin/node_exporter", OK, "version 1.9.1"
    )
    assert "at least 0.3.2 is needed" in checks["program /usr/local/bin/cgroup_exporter"].detail
    assert checks["program /usr/local/bin/nvidia_gpu_exporter"].state == FAILED
    unit = "/etc/systemd/system/node_exporter.service"
    (real.tree.root / unit[1:]).write_text("[Service]\nExecStart=/usr/local/bin/gone\nWrongKey=1\n")
    said = real.state("unit node_exporter.service")
    assert said[0][0] == FAILED
    assert "WrongKey" in said[0][1] and "gone is not executable" in said[0][1]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_units_of_an_image_that_cannot_be_run_are_verified_by_this_machines_systemd(image: Image) -> None:
    """Its own systemd-analyze is there, and for a processor that nobody has here."""
    image.put("/usr/lib/systemd/system/sysinit.target", b"")
    image.put("/usr/bin/systemd-analyze", ELF + b"\xf3\0")
    image.put("/usr/local/bin/there", b"#!/bin/sh\n").chmod(0o755)
    good = b"[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/local/bin/there\n"
    image.ours("/etc/systemd/system/good.service", good)
    image.ours("/etc/systemd/system/bad.service", good + b"WrongKey=1\n")
    assert image.state("unit good.service") == [(OK, "")]
    state, detail = image.state("unit bad.service")[0]
    assert (state, "WrongKey" in detail) == (FAILED, True)


def test_a_systemd_that_does_not_come_to_the_units_says_nothing_good(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image.put("/usr/lib/systemd/system/sysinit.target", b"")
    image.ours("/etc/systemd/system/x.service", b"[Service]\nExecStart=/bin/true\n")
    program = tmp_path / "bin/systemd-analyze"
    program.parent.mkdir(exist_ok=True)
    program.write_text("#!/bin/sh\necho 'Failed to create directory: Permission denied'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    assert image.state("units") == [
        (NOT_RUN, "systemd-analyze ended with status 1: Failed to create directory: Permission denied")
    ]
