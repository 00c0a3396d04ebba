"""For which processor a program is made, told by its ELF header, and which one a software image is for."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Optional

from bcm_jobstats.errors import JobstatsError

OTHER = "other"
"""The machine of an ELF file for a processor that no DGX has."""
_MACHINES = {0x3E: "x86_64", 0xB7: "aarch64"}
"""e_machine of the ELF header (elf.h: EM_X86_64, EM_AARCH64)."""
_BIG_ENDIAN = 2
"""EI_DATA of the ELF header (elf.h: ELFDATA2MSB)."""
_PROBES = ("/usr/bin/bash", "/bin/bash", "/bin/sh", "/usr/bin/env", "/usr/lib/systemd/systemd", "/lib/systemd/systemd")
"""Programs that every software image has; the first that is there and an ELF file tells."""
_MOST_LINKS = 40
"""Links that are followed on the way to one file, as the kernel does."""


class WrongArchitecture(JobstatsError):
    """A program that cannot run on the nodes of an image."""


def machine(file: Path) -> Optional[str]:
    """x86_64, aarch64 or OTHER; None when `file` is no ELF file: a script runs anywhere."""
    with file.open("rb") as opened:
        header = opened.read(20)
    if len(header) < 20 or header[:4] != b"\x7fELF":
        return None
    number = int.from_bytes(header[18:20], "big" if header[5] == _BIG_ENDIAN else "little")
    return _MACHINES.get(number, OTHER)


def of_tree(root: Path) -> Optional[str]:
    """The machine that the programs of an image are for; None when it has none, as a simulated image."""
    for path in _PROBES:
        found = inside(root, path)
        told = machine(found) if found else None
        if told:
            return told
    return None


def require(file: Path, architecture: Optional[str], subject: str) -> None:
    """WrongArchitecture when `file` is a program for another processor than `architecture`; None: not known."""
    own = machine(file)
    if own and architecture and own != architecture:
        raise WrongArchitecture(
            subject, f"is a program for {own}, and the image is for {architecture}", "Name one for the right processor."
        )


def inside(root: Path, path: str) -> Optional[Path]:
    """The regular file that `path` means within the tree `root`, links followed as if `root` were /; None: no file."""
    left = list(PurePosixPath(path).parts[1:])
    here = PurePosixPath("/")
    links = 0
    while left:
        part = left.pop(0)
        if part == "..":
            here = here.parent
            continue
        real = root / str(here / part).lstrip("/")
        if real.is_symlink():
            links += 1
            if links > _MOST_LINKS:
                return None
            target = PurePosixPath(str(real.readlink()))
            here = PurePosixPath("/") if target.is_absolute() else here
            left = [one for one in target.parts if one != "/"] + left
        else:
            here = here / part
    found = root / str(here).lstrip("/")
    return found if found.is_file() else None
