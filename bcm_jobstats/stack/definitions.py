"""Exporters as data: one YAML file each, the package's own and those of a site, read by the site file's rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from bcm_jobstats import data
from bcm_jobstats.site import kinds, words
from bcm_jobstats.site.load import load_section
from bcm_jobstats.site.problems import Problem, SiteError
from bcm_jobstats.site.settings import Origin, optional, required, setting
from bcm_jobstats.site.structure import ListOf, MapOf, Section
from bcm_jobstats.stack import render

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
    minimum_version: Optional[str] = optional(words.ARGUMENT, "The oldest version that works, for people.")
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
    def folder(self) -> Path:
        """Where its definition lies, and a template of its own may."""
        return Path(self.origin.file).parent


@dataclass(frozen=True)
class Definitions:
    """All exporters by name."""

    exporters: Mapping[str, Exporter]

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of the roles that the exporters belong to, sorted."""
        return tuple(sorted({exporter.role for exporter in self.exporters.values()}))


def load_definitions(extra: Sequence[Path] = ()) -> Definitions:
    """The shipped definitions and every *.yaml of the folders `extra`; a folder that is not there adds nothing.

    An exporter of a folder replaces the shipped one, or that of an earlier folder, of the same name. Raises SiteError
    with all problems of all files.
    """
    found: dict[str, Exporter] = {}
    problems: list[Problem] = []
    for folder in (data.path("overlays"), *extra):
        here: dict[str, Exporter] = {}
        problems += [Problem(str(path), 0, "is not read", "name it *.yaml") for path in sorted(folder.glob("*.yml"))]
        for path in sorted(folder.glob("*.yaml")):
            try:
                exporter = _load(path, here)
            except SiteError as error:
                problems += error.problems
                continue
            earlier = found.get(exporter.name)
            here[exporter.name] = dataclasses.replace(exporter, replaces=earlier.origin.file if earlier else None)
        found.update(here)
    problems += _reserved(found)
    if problems:
        raise SiteError(problems)
    return Definitions(found)


def _load(path: Path, here: Mapping[str, Exporter]) -> Exporter:
    exporter, origin = load_section(path, Section(Exporter))
    exporter = dataclasses.replace(exporter, origin=origin)
    problems = list(render.problems(exporter))
    if exporter.name in here:
        cause = f"name: {exporter.name} is defined in {here[exporter.name].origin.file} too"
        problems.append(Problem(origin.file, origin.line("name"), cause, "give one of them another name"))
    if problems:
        raise SiteError(problems)
    return exporter


def _reserved(exporters: Mapping[str, Exporter]) -> Iterator[Problem]:
    """An exporter must not take the name of a service that is not ours."""
    for name, exporter in exporters.items():
        if name in RESERVED:
            cause = f"name: {name} is a service of the system"
            yield Problem(exporter.origin.file, exporter.origin.line("name"), cause, f"for example {name}_exporter")
