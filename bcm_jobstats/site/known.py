"""What the checks of a site file ask of the definitions, which lie above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional, Protocol

from bcm_jobstats.site.settings import Origin


class KnownUpstream(Protocol):
    """What the checks ask of what a definition knows about its exporter's project."""

    @property
    def member(self) -> Optional[str]:
        """The name of the program in the project's archives."""


class KnownExporter(Protocol):
    """What the checks ask of an exporter's definition."""

    @property
    def role(self) -> str:
        """The role that runs it."""

    @property
    def port(self) -> int:
        """The port the definition gives it."""

    @property
    def arguments(self) -> Sequence[str]:
        """The arguments the definition gives it."""

    @property
    def hooks(self) -> Optional[str]:
        """The name of the hooks of Slurm that it needs."""

    @property
    def binary(self) -> str:
        """Its program in an image."""

    @property
    def minimum_version(self) -> Optional[str]:
        """The oldest version that works."""

    @property
    def upstream(self) -> KnownUpstream:
        """What is known of its project."""

    @property
    def where(self) -> str:
        """The file of the definition."""


class KnownRecipe(Protocol):
    """What the checks ask of a recipe."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that its kind of node has."""

    @property
    def artifacts(self) -> tuple[str, ...]:
        """The artifacts it wants beside those of the exporters."""

    @property
    def origin(self) -> Origin:
        """Its file and lines."""


class Known(Protocol):
    """What the checks ask of the definitions."""

    @property
    def exporters(self) -> Mapping[str, KnownExporter]:
        """The exporters by name."""

    @property
    def recipes(self) -> Mapping[str, KnownRecipe]:
        """The recipes of software images by name."""
