"""What systemd says against units of an image: the image's own systemd where it can be run, else the head node's."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from bcm_jobstats.imaging import elf
from bcm_jobstats.imaging.chroot import Chroot, ChrootFailed
from bcm_jobstats.imaging.trees import Tree

PROGRAM = "systemd-analyze"
SECONDS = 60.0
_SYSTEMS = ("usr/lib/systemd/system", "lib/systemd/system")
_FIRST = "sysinit.target"
"""Which every unit wants without saying so."""
_UNIT = re.compile(r"\S*\.(service|timer|socket|target|path|mount|slice)\b")
Said = Mapping[str, Sequence[str]]
"""unit's path -> what is wrong with it."""


def verify(tree: Tree, head: Path, units: Sequence[str]) -> tuple[Said, str]:
    """What is wrong with units, by their paths in the image; or a reason why that cannot be told."""
    if not units:
        return {}, "there is none"
    if not any((tree.root / place / _FIRST).exists() for place in _SYSTEMS):
        return {}, "the image has no systemd of its own"
    own = elf.inside(tree.root, f"/usr/bin/{PROGRAM}")
    if own and os.geteuid() == 0 and elf.machine(own) == platform.machine():
        try:
            words = shlex.join([PROGRAM, "verify", "--man=no", *units])
            text = Chroot(tree.root, head).run(["/bin/sh", "-c", f"{words} 2>&1; echo $?; exit 0"], SECONDS)
        except ChrootFailed as error:
            return {}, error.cause
        said, _, status = text.rstrip("\n").rpartition("\n")
        return _judged(said or "", status, units)
    if not shutil.which(PROGRAM):
        return {}, f"neither the image nor this machine has a {PROGRAM} that runs here"
    command = [PROGRAM, "verify", "--man=no", f"--root={tree.root}", *units]
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return {}, f"{PROGRAM} did not end within {SECONDS:g} seconds"
    return _judged(done.stdout, str(done.returncode), units)


def _judged(text: str, status: str, units: Sequence[str]) -> tuple[Said, str]:
    """Its status alone tells nothing: it is 0 for an unknown key, and not 0 for what is wrong with other units. But one
    that fails without a word about any unit did not come to them."""
    lines = [line for line in text.splitlines() if line.strip()]
    if status != "0" and not any(_UNIT.match(line) for line in lines):
        return {}, f"{PROGRAM} ended with status {status}: {lines[-1] if lines else 'it said nothing'}"
    return _against(lines, units), ""


def _against(lines: Sequence[str], units: Sequence[str]) -> Said:
    """The lines that are about these units; what is wrong with others is not ours to tell."""
    found: dict[str, list[str]] = {}
    for line in lines:
        for unit in units:
            start = line.find(f"{unit}:")
            rest = line[start + len(unit) + 1 :] if start >= 0 else line.removeprefix(f"{PurePosixPath(unit).name}: ")
            if rest != line:
                found.setdefault(unit, []).append(rest.strip())
    return found
