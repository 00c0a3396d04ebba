"""Recipes of software images as data: one YAML file per kind of node, the package's own and those of a site.

A recipe says what an image gets beside the files of its nodes' roles: files, links, units, programs, and what BCM must
leave alone when it copies between image and nodes (bcm-facts §6).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from bcm_jobstats import data
from bcm_jobstats.site import Site, kinds, words
from bcm_jobstats.site.filemodes import FileMode
from bcm_jobstats.site.load import load_section
from bcm_jobstats.site.problems import Problem, SiteError
from bcm_jobstats.site.settings import Origin, required, setting
from bcm_jobstats.site.structure import ListOf, MapOf, Section
from bcm_jobstats.stack import render
from bcm_jobstats.stack.files import LIBRARY, UNITS, PayloadFile, PayloadLink
from bcm_jobstats.stack.folders import load_named

MODES = ("update", "sync", "full", "grab", "grabnew")
"""BCM's exclude lists (bcm-facts §6)."""
NOT_IMAGES = ("/cm/images", "/cm/node-installer", "/cm/shared", "/dev", "/proc", "/run", "/sys", "/tmp")  # noqa: S108 - no file is made there
"""What is not the software image's on a node (bcm-facts §6)."""
WANTS = {"service": "multi-user", "target": "multi-user", "timer": "timers", "socket": "sockets", "path": "paths"}
"""Which target starts an enabled unit, by the unit's suffix."""

TEMPLATE = kinds.Text("the file name of a template", r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\.j2", "such as profile.sh.j2")
UNIT_TEMPLATE = kinds.Text(
    "the file name of a unit's template",
    r"[A-Za-z0-9][A-Za-z0-9:_.@-]{0,63}\.(service|target|timer|socket|path)\.j2",
    "the unit's name with .j2 behind it, such as x.service.j2",
)
PATTERN = kinds.Text("an rsync pattern", r"[/*A-Za-z0-9_.][^\s\x00-\x1f\x7f]*", "such as /var/lib/prometheus/*")


@dataclass(frozen=True)
class RecipeFile:
    """A file of an image, made from a template that sees header, site and library."""

    path: str = required(words.ABSOLUTE, "Its place in the image.")
    template: str = required(TEMPLATE, "Its template, next to the recipe or in templates/ below it.")
    mode: int = setting(0o644, FileMode(), "Its mode.")
    owner: str = setting("root", kinds.Choice("root", "user"), "Whose it is: root's, or the exporters' user's.")


@dataclass(frozen=True)
class RecipeLink:
    """A symbolic link of an image."""

    path: str = required(words.ABSOLUTE, "Its place in the image.")
    target: str = required(words.ABSOLUTE, "What it points to.")


@dataclass(frozen=True)
class RecipeUnit:
    """A systemd unit of an image, made from a template like that of a file."""

    template: str = required(UNIT_TEMPLATE, "Its template, named as the unit with .j2 behind.")
    enabled: bool = setting(False, words.SWITCH, "Whether nodes start it when they boot.")

    @property
    def name(self) -> str:
        """The unit's name."""
        return self.template[: -len(".j2")]

    @property
    def path(self) -> str:
        """Its place in the image."""
        return f"{UNITS}/{self.name}"


@dataclass(frozen=True)
class Recipe:
    """What the software image of one kind of node holds beside the files of its roles."""

    name: str = required(words.RECIPE, "The recipe's name.")
    doc: str = setting("", words.ARGUMENT, "What kind of node it is for, in one line.")
    roles: tuple[str, ...] = setting((), ListOf(words.ROLE), "Roles whose presence tells this kind of node.")
    files: tuple[RecipeFile, ...] = setting((), ListOf(Section(RecipeFile)), "Files.")
    links: tuple[RecipeLink, ...] = setting((), ListOf(Section(RecipeLink)), "Symbolic links.")
    units: tuple[RecipeUnit, ...] = setting((), ListOf(Section(RecipeUnit)), "Units of systemd.")
    artifacts: tuple[str, ...] = setting(
        (), ListOf(words.EXPORTER), "Artifacts of the site file, beside those of its roles' exporters."
    )
    exclude: Mapping[str, tuple[str, ...]] = setting(
        {}, MapOf(kinds.Choice(*MODES), ListOf(PATTERN)), "BCM's exclude list -> rsync patterns to add to it."
    )
    origin: Origin = field(default_factory=Origin, compare=False, repr=False)
    replaces: Optional[str] = None
    """The file of the shipped recipe that this one of the site stands in for."""

    @property
    def folder(self) -> Path:
        """Where the recipe lies, and its templates may."""
        return Path(self.origin.file).parent

    def filters(self, mode: str) -> tuple[str, ...]:
        """The lines to add to BCM's exclude list of a mode, as rsync's filter rules."""
        return tuple(f"- {pattern}" for pattern in self.exclude.get(mode, ()))

    def payload(self, site: Site) -> Iterator[PayloadFile]:
        """Its files and units; SiteError when a template fails."""
        values = {"site": site, "library": LIBRARY}
        user = f"{site.user.uid}:{site.user.uid}"
        for file in self.files:
            content = render.unit(file.template, self.folder, values)
            yield PayloadFile(file.path, content, file.mode, user if file.owner == "user" else "0:0")
        for unit in self.units:
            yield PayloadFile(unit.path, render.unit(unit.template, self.folder, values))

    def payload_links(self) -> Iterator[PayloadLink]:
        """Its links, and those that enable its units."""
        yield from (PayloadLink(link.path, link.target) for link in self.links)
        for unit in self.units:
            if unit.enabled:
                target = WANTS[unit.name.rpartition(".")[2]]
                yield PayloadLink(f"{UNITS}/{target}.target.wants/{unit.name}", unit.path)


def load_recipes(extra: Sequence[Path] = ()) -> dict[str, Recipe]:
    """The shipped recipes and every *.yaml of the folders `extra`, which replace those of the same name.

    Raises SiteError with all problems of all files.
    """
    return load_named([data.path("images"), *extra], _load)


def _load(path: Path) -> Recipe:
    recipe, origin = load_section(path, Section(Recipe))
    recipe = dataclasses.replace(recipe, origin=origin)
    problems = list(_problems(recipe))
    if problems:
        raise SiteError(problems)
    return recipe


def _problems(recipe: Recipe) -> Iterator[Problem]:
    """Places that are taken twice or are not the image's, and templates that are nowhere or fail."""
    origin, taken = recipe.origin, set[str]()
    places = [(f"files[{index}]", one.path) for index, one in enumerate(recipe.files)]
    places += [(f"links[{index}]", one.path) for index, one in enumerate(recipe.links)]
    places += [(f"units[{index}]", one.path) for index, one in enumerate(recipe.units)]
    for where, path in places:
        if path in taken:
            yield Problem(origin.file, origin.line(where), f"{where}: {path} is in the recipe already", "remove one")
        if path.startswith(tuple(f"{start}/" for start in NOT_IMAGES)):
            cause = f"{where}: {path} is not part of a software image"
            yield Problem(origin.file, origin.line(where), cause, "nodes have something of their own there")
        taken.add(path)
    templates = [(f"files[{index}].template", one.template) for index, one in enumerate(recipe.files)]
    templates += [(f"units[{index}].template", one.template) for index, one in enumerate(recipe.units)]
    missing = [one for where, name in templates for one in render.missing(name, recipe.folder, origin, where)]
    yield from missing
    try:
        list(recipe.payload(Site()) if not missing else ())
    except SiteError as error:
        yield from error.problems
