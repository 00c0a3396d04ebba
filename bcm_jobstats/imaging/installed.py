"""Which version of an exporter an image holds, told by the program itself."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Optional

from bcm_jobstats.imaging import elf
from bcm_jobstats.imaging.chroot import Chroot, ChrootFailed
from bcm_jobstats.stack.definitions import Exporter

_SECONDS = 10.0
_VERSION = re.compile(r"(?<![\w.])v?(\d+(?:\.\d+)+(?:[-+~][\w.+~-]*\w)?)")


def tell(tree: Path, exporter: Exporter) -> Optional[str]:
    """The version that the program in the image `tree` tells of itself; ChrootFailed when it cannot be run.

    None where it cannot be asked: it is not there, has no arguments for that, is for another processor than this head
    node's, or we are not root; and where it tells none.
    """
    program = elf.inside(tree, exporter.binary)
    if program is None or not exporter.version_arguments or os.geteuid() != 0:
        return None
    if {elf.machine(program), elf.of_tree(tree)} - {None, platform.machine()}:
        return None
    told = Chroot(tree).try_out([exporter.binary, *exporter.version_arguments], _SECONDS)
    found = _VERSION.search(told)
    return found.group(1) if found else None


def installed_version(tree: Path, exporter: Exporter) -> Optional[str]:
    """The version as `tell` has it; None also when the program fails: for a look that must not stop."""
    try:
        return tell(tree, exporter)
    except ChrootFailed:
        return None
