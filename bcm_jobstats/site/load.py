"""Reading the site file: either a site that is sound in itself, or everything that is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Optional, TypeVar

from bcm_jobstats.site.checks import problems
from bcm_jobstats.site.document import compose
from bcm_jobstats.site.known import Known
from bcm_jobstats.site.problems import Problem, SiteError
from bcm_jobstats.site.schema import Site
from bcm_jobstats.site.settings import Origin, Reader
from bcm_jobstats.site.structure import Section

T = TypeVar("T")


def load_site(path: Path, definitions: Optional[Known] = None) -> Site:
    """The site of `path`, checked against the definitions where they are given. An empty file means all defaults.

    Raises SiteError with all problems of the file at once.
    """
    node = compose(path)
    if node is None:
        site = Site(origin=Origin(str(path)))
    else:
        reader = Reader(path)
        site = Section(Site).read(node, "", reader)
        if reader.problems:
            raise SiteError(reader.problems)
        site = replace(site, origin=reader.origin())
    found = list(problems(site, definitions))
    if found:
        raise SiteError(found)
    return site


def load_section(path: Path, section: Section[T]) -> tuple[T, Origin]:
    """Any other file of settings, by the same rules; SiteError with all problems of the file, also when it is empty."""
    node = compose(path)
    if node is None:
        raise SiteError([Problem(str(path), 0, "the file is empty", "fill it in, or remove it")])
    reader = Reader(path)
    value = section.read(node, "", reader)
    if reader.problems:
        raise SiteError(reader.problems)
    return value, reader.origin()
