"""Commands in a real image's tree: what they see, how they fail, and that nothing stays mounted or running."""

from __future__ import annotations

import os
import platform
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcm_jobstats.imaging import installed
from bcm_jobstats.imaging.chroot import Chroot, ChrootFailed
from bcm_jobstats.simulator.lab import bases, disks
from bcm_jobstats.stack.definitions import Exporter
from tests.harness import until
from tests.imaging.artifacts import elf
from tests.lab import labs

pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(labs.missing()), reason=labs.missing() or "")]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A scratch layer over a real Debian tree."""
    base = bases.build("bookworm", print)
    folder = tmp_path_factory.mktemp("chroot")
    try:
        disks.mount_overlay(folder / "image", [base.node], folder / "disk")
        yield folder / "image"
    finally:
        disks.unmount_below(folder)


def changed(image: Path) -> list[str]:
    """What of the image is not as in the base: the scratch layer."""
    layer = image.parent / "disk/upper"
    return sorted(str(path.relative_to(layer)) for path in layer.rglob("*") if not path.is_dir())


def mounts(image: Path) -> list[Path]:
    return [point for point in disks.mounts_below(image) if point != image]


def test_a_command_sees_the_image_and_what_programs_count_on(image: Path) -> None:
    probe = "cat /etc/debian_version; test -e /proc/1 && echo x > /dev/null && head -c1 /dev/urandom | wc -c; id -u"
    told = Chroot(image).run(["sh", "-c", probe])
    assert told.splitlines()[0].startswith("12")
    assert told.splitlines()[1:] == ["1", "0"]


def test_words_arrive_as_they_are(image: Path) -> None:
    words = ["a b", "$HOME", "'", '"', "", "*", "ä\n"]
    assert Chroot(image).run(["printf", "<%s>", *words]) == "".join(f"<{word}>" for word in words)


def test_nothing_stays_mounted_and_nothing_is_written(image: Path) -> None:
    before = changed(image)
    Chroot(image).run(["true"])
    with pytest.raises(ChrootFailed):
        Chroot(image).run(["false"])
    assert mounts(image) == []
    assert changed(image) == before
    assert not (image / "dev/random").is_mount()


def test_a_command_that_fails_is_told_with_its_last_words(image: Path) -> None:
    with pytest.raises(ChrootFailed) as told:
        Chroot(image).run(["sh", "-c", "echo said; echo cause >&2; exit 7"])
    assert str(told.value).splitlines()[1:] == ["    said", "    cause"]
    with pytest.raises(ChrootFailed, match="no-such-command"):
        Chroot(image).run(["no-such-command"])


def test_a_tree_that_is_no_image_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(ChrootFailed, match="there is no /proc in it: not a software image"):
        Chroot(tmp_path).run(["true"])
    assert list(tmp_path.iterdir()) == []


def running(word: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in process.read_bytes().split(b"\0"):
                found.append(process.parent.name)
        except OSError:
            continue
    return found


def seconds() -> str:
    """How long to sleep, in a number that no other process has: another run of these tests may be under way."""
    return f"9{os.getpid()}.{time.monotonic_ns()}"


def test_a_command_that_hangs_is_ended_with_all_it_started(image: Path) -> None:
    one, other, third = seconds(), seconds(), seconds()
    with pytest.raises(ChrootFailed, match="did not end within 1 seconds"):
        Chroot(image).run(["sh", "-c", f"sleep {one} & setsid sleep {other} & sleep {third}"], timeout=1.0)
    until(lambda: not any(running(number) for number in (one, other, third)), 10)
    assert mounts(image) == []


def test_killed_from_outside_everything_ends(image: Path) -> None:
    number = seconds()
    child = os.fork()
    if child == 0:
        try:
            Chroot(image).run(["sh", "-c", f"touch /begun; sleep {number}"])
        finally:
            os._exit(0)
    until((image / "begun").exists, 20)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    until(lambda: not running(number), 10)
    assert mounts(image) == []


def test_a_program_on_trial_is_nobody_and_has_no_network(image: Path) -> None:
    told = Chroot(image).try_out(["sh", "-c", "id -u; id -G; cat /proc/net/dev; echo err >&2"], 10.0)
    assert told.split()[:2] == ["65534", "65534"]
    assert [line.split(":")[0].strip() for line in told.splitlines() if ":" in line] == ["lo"]
    assert "err" in told


WRAPPERS = {
    "runs what is on its standard input": ("#!/bin/sh\necho entering $1\nexec chroot $1 /bin/bash\n", True),
    "takes a command only": ("#!/bin/sh\ncat > /dev/null\necho usage\nexit 1\n", False),
}


@pytest.mark.parametrize(("script", "used"), WRAPPERS.values(), ids=WRAPPERS)
def test_bcms_own_way_is_taken_where_it_works(image: Path, tmp_path: Path, script: str, used: bool) -> None:
    """A stand-in for cm-chroot-sw-img, and one that does not do what we assume (capability chroot-commands)."""
    wrapper = tmp_path / "usr/sbin/cm-chroot-sw-img"
    wrapper.parent.mkdir(parents=True)
    wrapper.write_text(script)
    wrapper.chmod(0o755)
    chroot = Chroot(image, tmp_path)
    assert chroot.wrapper() == wrapper
    assert chroot.run(["printf", "%s|", "a b", "$c", "'"]) == "a b|$c|'|"
    assert (chroot.run(["sh", "-c", "ls /proc | head -1"]) == "") == used, "the stand-in mounts nothing"
    with pytest.raises(ChrootFailed) as told:
        chroot.run(["sh", "-c", "echo said; echo cause >&2; exit 7"])
    assert str(told.value).splitlines()[1:] == ["    said", "    cause"]


EXPORTER = "/usr/local/bin/exporter"


def exporter(image: Path, content: str, mode: int = 0o755) -> Exporter:
    program = image / EXPORTER.lstrip("/")
    program.write_text(content)
    program.chmod(mode)
    return Exporter(name="exporter", role="jobstats", binary=EXPORTER, port=9100, version_arguments=("--version",))


VERSIONS = {
    "node_exporter": ("node_exporter, version 1.9.1 (branch: HEAD, revision: f2ec547b49af)\n"
                      "  build user: root@7023beaa563a\n  go version: go1.23.7", "1.9.1"),
    "dcgm-exporter": ("2026/01/01 00:00:00 maxprocs\nDCGM Exporter version 3.3.6-3.4.2", "3.3.6-3.4.2"),
    "with a v": ("exporter v0.2.2", "0.2.2"),
    "none": ("no idea", None),
}  # fmt: skip


@pytest.mark.parametrize(("output", "version"), VERSIONS.values(), ids=VERSIONS)
@pytest.mark.parametrize("stream", [1, 2])
def test_a_program_tells_its_version(image: Path, output: str, version: str, stream: int) -> None:
    script = f"#!/bin/sh\ntest \"$*\" = --version || exit 1\ncat >&{stream} <<'END'\n{output}\nEND\n"
    assert installed.tell(image, exporter(image, script)) == version


def test_a_program_that_cannot_be_run_is_told_or_passed_over(image: Path) -> None:
    broken = exporter(image, "#!/bin/sh\necho panic: no driver >&2; exit 2\n")
    with pytest.raises(ChrootFailed, match="panic: no driver"):
        installed.tell(image, broken)
    assert installed.installed_version(image, broken) is None


def test_a_program_is_never_run_where_it_cannot(image: Path) -> None:
    """For another processor; without arguments for it; not there."""
    one = exporter(image, "#!/bin/sh\necho 1.0.0\n")
    assert installed.tell(image, one) == "1.0.0"
    other = "aarch64" if platform.machine() == "x86_64" else "x86_64"
    (image / EXPORTER.lstrip("/")).write_bytes(elf(other))
    assert installed.tell(image, one) is None
    (image / EXPORTER.lstrip("/")).unlink()
    assert installed.tell(image, one) is None
