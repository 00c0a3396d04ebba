"""Where the data of the package lies: `overlays/`, `images/` and `scripts/` (design §4).

In a checkout they are the top-level folders, where an administrator looks for them. In a wheel setup.cfg makes them
sub-packages of this one. A wheel is always unpacked on disk, and `importlib.resources.files` cannot read a package
without `__init__.py` on Python 3.9, so the place is told from this file's own.
"""

from __future__ import annotations

from pathlib import Path


def path(name: str) -> Path:
    """The folder `name` ("overlays", "images", "scripts"); FileNotFoundError when the installation lacks it."""
    here = Path(__file__).resolve().parent
    for folder in (here / name, here.parents[1] / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"bcm_jobstats is installed without its folder {name!r}: install it again")
