"""What the virtual machine is made of, kept in the lab's cache: Debian's kernel, an initramfs, a disk per release."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

NEEDED = {"qemu-system-x86_64": "qemu-system-x86", "cpio": "cpio", "mke2fs": "e2fsprogs", "apt-get": "apt"}
KERNEL = "linux-image-cloud-amd64"  # depends on the package of the kernel that is current
# In the order in which they need each other. ext4 and the serial ports are built in.
MODULES = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk")
# The payload comes behind this archive in the same initrd, so that one disk serves every boot.
INIT = f"""\
#!/busybox sh
/busybox mount -t devtmpfs dev /dev
for module in {" ".join(MODULES)}; do /busybox insmod /$module.ko; done
until [ -b /dev/vda ]; do /busybox sleep 0.1; done
/busybox mount -t ext4 /dev/vda /root
/busybox cp -a /payload/. /root/
/busybox mount --move /dev /root/dev
exec /busybox switch_root /root /lib/systemd/systemd
"""
DISK_SIZE = "4G"  # sparse
TIME_LIMIT = 300.0  # seconds for one program


class VmError(Exception):
    """The machine could not be made, or did not do its work in time."""


@dataclass(frozen=True)
class Parts:
    """The files that QEMU boots from; all are read only."""

    kernel: Path
    initrd: Path
    disk: Path


def missing() -> Optional[str]:
    """Why no virtual machine can be had here; None when it can."""
    packages = [package for program, package in NEEDED.items() if not shutil.which(program)]
    if packages:
        return f"the virtual machine needs the packages {' '.join(packages)}"
    return None if os.geteuid() == 0 else "the virtual machine's disk is made by root only"


def parts(cache: Path, release: str, layers: Sequence[Path]) -> Parts:
    """What boots the tree that `layers` make together, the topmost first; made when the cache has no such thing."""
    recipe = _digest(KERNEL, INIT)
    kernel, initrd = cache / f"kernel-{recipe}", cache / f"initrd-{recipe}"
    disk = cache / f"disk-{release}-{_digest(DISK_SIZE, *(f'{layer} {layer.stat().st_mtime_ns}' for layer in layers))}"
    with _workshop(cache) as work:
        if not (kernel.exists() and initrd.exists()):
            _make_kernel(work)
            _replace(work / "kernel", kernel)
            _replace(work / "initrd", initrd)
        if not disk.exists():
            _make_disk(work / "disk", layers)
            _replace(work / "disk", disk)
    return Parts(kernel, initrd, disk)


@contextlib.contextmanager
def _workshop(cache: Path) -> Iterator[Path]:
    """A directory for unfinished work, for one at a time; what a killed build has left in it goes first."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        work = cache / "unfinished"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            yield work
        finally:
            shutil.rmtree(work)


def _replace(new: Path, place: Path) -> None:
    """Move a finished file to its place and remove its predecessors, which another recipe made."""
    new.replace(place)
    for old in place.parent.glob(place.name.rpartition("-")[0] + "-*"):
        if old != place:
            old.unlink()


def _make_kernel(work: Path) -> None:
    depends = run("apt-cache", "depends", "--important", KERNEL, cwd=work).split()
    package = next((word for word in depends if word.startswith("linux-image-") and word != KERNEL), None)
    if not package:
        raise VmError(f"{KERNEL}: apt knows of no such package; run apt-get update")
    run("apt-get", "-q", "download", package, "busybox-static", cwd=work)
    for archive in work.glob("*.deb"):
        run("dpkg", "-x", str(archive), "packages", cwd=work)
    tree = work / "initramfs"
    for directory in ("dev", "root"):
        (tree / directory).mkdir(parents=True)
    shutil.copy(work / "packages/bin/busybox", tree)
    for module in MODULES:
        shutil.copy(next((work / "packages/lib/modules").rglob(f"{module}.ko")), tree)
    (tree / "init").write_text(INIT, encoding="utf-8")
    (tree / "init").chmod(0o755)
    (work / "initrd").write_bytes(archive_of(tree))
    next((work / "packages/boot").glob("vmlinuz-*")).replace(work / "kernel")


def _make_disk(disk: Path, layers: Sequence[Path]) -> None:
    """An ext4 file system of the merged layers. The overlay mount is seen by this program alone and goes with it."""
    script = (
        'mount -t overlay overlay -o "lowerdir=$1" /mnt && exec mke2fs -q -t ext4 -O ^has_journal -d /mnt "$2" "$3"'
    )
    lower = ":".join(map(str, layers))
    run("unshare", "--mount", "sh", "-c", script, "sh", lower, str(disk), DISK_SIZE, cwd=disk.parent)


def archive_of(directory: Path, under: str = ".") -> bytes:
    """A cpio archive of what is `under` the directory, as the kernel wants it."""
    names = "\n".join(
        [under, *(str(path.relative_to(directory)) for path in sorted((directory / under).rglob("*"))), ""]
    )
    command = ["cpio", "--create", "--format=newc", "--quiet", "--owner=+0:+0"]
    return subprocess.run(command, cwd=directory, input=names.encode(), stdout=subprocess.PIPE, check=True).stdout


def run(*command: str, cwd: Path) -> str:
    """What the program printed; VmError with the last lines when it fails. It ends with us, also when we are killed."""
    mortal = ["setpriv", "--pdeathsig", "KILL", *command]
    try:
        done = subprocess.run(mortal, cwd=cwd, capture_output=True, text=True, timeout=TIME_LIMIT, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        lines = str(error.stderr or error).splitlines()[-5:]
        raise VmError("\n".join([" ".join(command), *lines])) from error
    return done.stdout


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
