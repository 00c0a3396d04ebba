"""The head node's pythoncm: the stand-in's files, copied to where BCM has the library (bcm-facts §7)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from bcm_jobstats.simulator.http_version import version

SOURCE = Path(__file__).with_name("standin_pythoncm")
LIBRARY = "cm/local/apps/cmd/pythoncm/lib"
NONE, OWN = "none", "own"


def install(root: Path, python: str, profile: str) -> None:
    """Install for a version of Python, "own" for the one that runs, or not at all; what was there before goes."""
    library = root / LIBRARY
    if library.exists():
        shutil.rmtree(library)
    if python == NONE:
        return
    number = "{}.{}".format(*sys.version_info) if python == OWN else python
    package = library / f"python{number}" / "site-packages" / "pythoncm"
    package.mkdir(parents=True)
    for file in SOURCE.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        if file.name == "release.py":
            text = text.replace('VERSION = "11.0"', f'VERSION = "{version(profile)["cm_version"]}"')
        (package / file.name).write_text(text, encoding="utf-8")
