"""Exporters as data: one YAML file each, the package's own and those of a site, read by the site file's rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from bcm_jobstats import data
from bcm_jobstats.site import kinds, words
from bcm_jobstats.site.artifacts import VERSION
from bcm_jobstats.site.load import load_section
from bcm_jobstats.site.problems import Problem, SiteError
from bcm_jobstats.site.settings import Origin, optional, required, setting
from bcm_jobstats.site.structure import ListOf, MapOf, Section
from bcm_jobstats.stack import render, upstream
from bcm_jobstats.stack.folders import load_named
from bcm_jobstats.stack.recipes import Recipe, load_recipes
from bcm_jobstats.stack.upstream import Pair, Upstream

UNIT = kinds.Text(
    "the name of a systemd unit",
    r"[A-Za-z0-9][A-Za-z0-9:_.@-]{0,127}\.(service|target|mount|socket)",
    "such as nvidia-dcgm.service",
)
TEMPLATE = kinds.Text(
    "the file name of a template", r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\.j2", "such as exporter.service.j2"
)
VARIABLE = kinds.Text(
    "the name of an environment variable", r"[A-Z_][A-Z0-9_]{0,63}", "capital letters, digits and '_'"
)


RESERVED = {
    "bcm-role-monitor",
    "bcm-role-monitor-orders",
    "cmd",
    "jobstats-gpus",
    "jobstats-sweep",
    "munge",
    "nvidia-dcgm",
    "nvidia-dcgm-exporter",
    "nvidia-persistenced",
    "slurmctld",
    "slurmd",
    "sshd",
}
"""Services of BCM, Slurm, NVIDIA and the system that a unit of ours must not hide (/etc before /usr/lib)."""


@dataclass(frozen=True)
class Exporter:
    """One exporter: a program that answers Prometheus on a port, run by a role as a systemd service."""

    name: str = required(words.EXPORTER, "The exporter's name, which is also that of its service.")
    role: str = required(words.ROLE, "The role that runs it.")
    binary: str = required(words.ABSOLUTE, "The program in the software image.")
    port: int = required(words.PORT, "The port it listens on.")
    doc: str = setting("", words.ARGUMENT, "What it measures, in one line.")
    job: Optional[str] = optional(words.OVERLAY, "The label `job` of its targets; unset: its name.")
    arguments: tuple[str, ...] = setting(
        (),
        ListOf(words.ARGUMENT, repeats=True),
        "Its arguments; jinja2, with port, name and cluster.",
    )
    environment: Mapping[str, str] = setting({}, MapOf(VARIABLE, words.ARGUMENT), "Its environment; jinja2 likewise.")
    gpu: bool = setting(False, words.SWITCH, "Whether it needs the NVIDIA devices.")
    hooks: Optional[str] = optional(
        kinds.Choice("jobstats", "dcgm"), "The hooks of Slurm whose maps it reads: /run/gpustat or /run/dcgm-job-map."
    )
    memory: str = setting("256M", words.MEMORY, "The most memory it may take; from three quarters on it is slowed.")
    cpu: str = setting("50%", words.CPU, "The most CPU time it may take; 100% is one core.")
    after: tuple[str, ...] = setting((), ListOf(UNIT), "Units that start before it.")
    wants: tuple[str, ...] = setting((), ListOf(UNIT), "Units that are started with it.")
    minimum_version: Optional[str] = optional(VERSION, "The oldest version that works.")
    version_arguments: tuple[str, ...] = setting(
        ("--version",), ListOf(words.ARGUMENT), "With these it tells its version and ends; empty: it cannot."
    )
    upstream: Upstream = setting(  # noqa: RUF009 - as every other field
        Upstream(), Section(Upstream), "Its project and where that has releases."
    )
    pairs: tuple[Pair, ...] = setting((), ListOf(Section(Pair)), "Programs that its version must go with.")
    unit: str = setting(
        "exporter.service.j2", TEMPLATE, "The template of its unit, next to this file or the package's."
    )
    origin: Origin = field(default_factory=Origin, compare=False, repr=False)
    replaces: Optional[str] = None
    """The file of the shipped definition that this one of the site stands in for."""

    @property
    def label(self) -> str:
        """The label `job` of its targets."""
        return self.job or self.name

    @property
    def where(self) -> str:
        """The file of its definition."""
        return self.origin.file

    def pair(self, version: str) -> Optional[Pair]:
        """What a version of it must go with; None where nothing is known."""
        return next((pair for pair in self.pairs if pair.covers(version)), None)

    @property
    def folder(self) -> Path:
        """Where its definition lies, and a template of its own may."""
        return Path(self.origin.file).parent


@dataclass(frozen=True)
class Definitions:
    """All exporters and all recipes of software images, by name."""

    exporters: Mapping[str, Exporter]
    recipes: Mapping[str, Recipe] = field(default_factory=dict)

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of the roles that the exporters belong to, sorted."""
        return tuple(sorted({exporter.role for exporter in self.exporters.values()}))


def load_definitions(extra: Sequence[Path] = (), images: Sequence[Path] = ()) -> Definitions:
    """The shipped exporters and recipes, and those of a site: `extra` are its folders of exporters, `images` those of
    recipes.

    What a folder defines replaces the shipped one, or that of an earlier folder, of the same name. Raises SiteError
    with all problems of all files.
    """
    problems: list[Problem] = []
    exporters: dict[str, Exporter] = {}
    recipes: dict[str, Recipe] = {}
    try:
        exporters = load_named([data.path("overlays"), *extra], _load)
    except SiteError as error:
        problems += error.problems
    try:
        recipes = load_recipes(images)
    except SiteError as error:
        problems += error.problems
    if problems:
        raise SiteError(problems)
    return Definitions(exporters, recipes)


def _load(path: Path) -> Exporter:
    exporter, origin = load_section(path, Section(Exporter))
    exporter = dataclasses.replace(exporter, origin=origin)
    problems = [*render.problems(exporter), *_reserved(exporter)]
    for name, cause, remedy in upstream.problems(exporter.upstream):
        problems.append(Problem(origin.file, origin.line(f"upstream.{name}"), f"upstream.{name}: {cause}", remedy))
    if problems:
        raise SiteError(problems)
    return exporter


def _reserved(exporter: Exporter) -> Iterator[Problem]:
    """An exporter must not take the name of a service that is not ours."""
    if exporter.name in RESERVED:
        cause = f"name: {exporter.name} is a service of the system"
        remedy = f"for example {exporter.name}_exporter"
        yield Problem(exporter.origin.file, exporter.origin.line("name"), cause, remedy)
