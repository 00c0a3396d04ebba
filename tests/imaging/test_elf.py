"""For which processor a program and an image are: from real headers and from headers made byte by byte."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Optional

import pytest

from bcm_jobstats.imaging import elf


def header(machine: int, order: str = "<") -> bytes:
    """The first bytes of a 64-bit ELF program."""
    magic = b"\x7fELF" + bytes([2, 1 if order == "<" else 2, 1]) + bytes(9)
    return magic + struct.pack(f"{order}HH", 2, machine) + bytes(44)


PROGRAMS = {
    "x86_64": (header(62), "x86_64"),
    "aarch64": (header(183), "aarch64"),
    "aarch64, big-endian": (header(183, ">"), "aarch64"),
    "ppc64, big-endian": (header(21, ">"), "other"),
    "riscv": (header(243), "other"),
    "no byte order": (b"\x7fELF" + bytes(16), "other"),
    "script": (b"#!/bin/sh\nexit 0\n# long enough to be a header\n", None),
    "cut off": (header(62)[:19], None),
    "empty": (b"", None),
}


@pytest.mark.parametrize(("content", "told"), PROGRAMS.values(), ids=PROGRAMS)
def test_the_machine_of_a_program(tmp_path: Path, content: bytes, told: Optional[str]) -> None:
    file = tmp_path / "program"
    file.write_bytes(content)
    assert elf.machine(file) == told


def test_a_real_program() -> None:
    import platform

    assert elf.machine(Path(sys.executable).resolve()) == platform.machine()


def image(root: Path, **files: object) -> Path:
    """A tree: PATH with __ for / -> bytes of a file, or text of a link."""
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.symlink_to(str(content))
    return root


TREES = {
    "its bash": ({"usr__bin__bash": header(183)}, "aarch64"),
    "merged /usr": ({"usr__bin__sh": header(62), "bin": "usr/bin"}, "x86_64"),
    "absolute link": ({"opt__sh": header(183), "bin__sh": "/opt/sh"}, "aarch64"),
    "link through a linked directory": ({"opt__x__sh": header(183), "y": "/opt/x", "bin__sh": "../y/sh"}, "aarch64"),
    "up beyond the root": ({"opt__sh": header(183), "bin__sh": "../../../../opt/sh"}, "aarch64"),
    "a script first": ({"usr__bin__bash": b"#!/bin/true\n" * 9, "usr__bin__env": header(183)}, "aarch64"),
    "link to itself": ({"bin__sh": "/bin/sh"}, None),
    "dangling": ({"bin__sh": "/nowhere"}, None),
    "nothing": ({"etc__passwd": b""}, None),
}


@pytest.mark.parametrize(("files", "told"), TREES.values(), ids=TREES)
def test_the_machine_of_an_image(tmp_path: Path, files: dict[str, object], told: Optional[str]) -> None:
    """Never that of the head itself, whose /bin/sh a link of the image would lead to."""
    assert elf.of_tree(image(tmp_path / "image", **files)) == told


def test_a_program_for_another_machine_is_refused_with_both_named(tmp_path: Path) -> None:
    file = tmp_path / "exporter"
    file.write_bytes(header(62))
    with pytest.raises(elf.WrongArchitecture, match=r"exporter in dgx: is a program for x86_64.*for aarch64"):
        elf.require(file, "aarch64", "exporter in dgx")
    elf.require(file, "x86_64", "exporter in dgx")
    elf.require(file, None, "an image of which nothing is known")
    file.write_bytes(b"#!/bin/sh\n# a script runs anywhere\n")
    elf.require(file, "aarch64", "exporter in dgx")
