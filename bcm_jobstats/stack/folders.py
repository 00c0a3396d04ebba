"""Folders of YAML files that each define one named thing: the package's own folder, and those of a site."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Callable, TypeVar, Union

from bcm_jobstats.site.problems import Problem, SiteError

if TYPE_CHECKING:
    from bcm_jobstats.stack.definitions import Exporter
    from bcm_jobstats.stack.recipes import Recipe

T = TypeVar("T", bound="Union[Exporter, Recipe]")


def load_named(folders: Sequence[Path], load: Callable[[Path], T]) -> dict[str, T]:
    """Every *.yaml of the folders by name; a folder that is not there adds nothing.

    What a folder defines replaces that of the same name in an earlier one, at its place in the order. `load` reads one
    file. Raises SiteError with all problems of all files.
    """
    found: dict[str, T] = {}
    problems: list[Problem] = []
    for folder in folders:
        here: dict[str, T] = {}
        problems += [Problem(str(path), 0, "is not read", "name it *.yaml") for path in sorted(folder.glob("*.yml"))]
        for path in sorted(folder.glob("*.yaml")):
            try:
                one = load(path)
            except SiteError as error:
                problems += error.problems
                continue
            if one.name in here:
                cause = f"name: {one.name} is defined in {here[one.name].origin.file} too"
                problems.append(Problem(str(path), one.origin.line("name"), cause, "give one of them another name"))
                continue
            earlier = found.get(one.name)
            here[one.name] = dataclasses.replace(one, replaces=earlier.origin.file if earlier else None)
        found.update(here)
    if problems:
        raise SiteError(problems)
    return found
