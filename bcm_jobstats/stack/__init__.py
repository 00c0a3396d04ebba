"""What is deployed: typed definitions of exporters, and the desired state that a site makes of them."""

from __future__ import annotations

from pathlib import Path

from bcm_jobstats.site import Site, SiteError, load_site
from bcm_jobstats.stack.definitions import Definitions, Exporter, load_definitions
from bcm_jobstats.stack.files import PayloadFile, PayloadLink, Program
from bcm_jobstats.stack.model import RoleSpec, Stack
from bcm_jobstats.stack.recipes import Recipe

__all__ = [
    "Definitions",
    "Exporter",
    "PayloadFile",
    "PayloadLink",
    "Program",
    "Recipe",
    "RoleSpec",
    "Stack",
    "load",
    "load_definitions",
    "load_site",
]

OWN = "etc/bcm-jobstats/overlays.d"
"""Where a site keeps definitions of its own, below the root."""
OWN_RECIPES = "etc/bcm-jobstats/images.d"
"""Where it keeps recipes of its own."""


def load(site_path: Path, root: Path = Path("/")) -> tuple[Site, Definitions]:
    """Site and definitions, checked against each other; SiteError with the problems of both."""
    try:
        definitions = load_definitions([root / OWN], [root / OWN_RECIPES])
    except SiteError as error:
        try:
            load_site(site_path)
        except SiteError as other:
            raise SiteError([*error.problems, *other.problems]) from error
        raise
    return load_site(site_path, definitions), definitions
