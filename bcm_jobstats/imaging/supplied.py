"""The site's artifacts as resources of images, each looked for when it is first asked for."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Union

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import elf, programs
from bcm_jobstats.imaging.manifest import Manifest
from bcm_jobstats.imaging.programs import PROGRAM, ProgramProvider
from bcm_jobstats.imaging.sources import Sources
from bcm_jobstats.imaging.trees import MANAGED, Tree
from bcm_jobstats.plan.resource import Resource
from bcm_jobstats.stack import Program

Outcome = Union[list[Resource], JobstatsError]


class Supplied:
    """What images get of the artifacts. Nothing is read or summed before a plan for an image wants it, and once."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._known: dict[tuple[str, str], Outcome] = {}

    def resources(self, tree: Tree, wanted: Sequence[Program]) -> list[Resource]:
        """The resources of kind `artifact` and `package` of an image; what cannot be had stays as it was recorded, and
        is told by `problems`."""
        found: list[Resource] = []
        for program in wanted:
            outcome = self._outcome(tree, program)
            found += _as_recorded(tree, program) if isinstance(outcome, JobstatsError) else outcome
        return found

    def problems(self, tree: Tree, wanted: Sequence[Program]) -> list[str]:
        """What is wrong with the artifacts of an image."""
        outcomes = [self._outcome(tree, program) for program in wanted]
        return [f"software image {tree.name}: {one}" for one in outcomes if isinstance(one, JobstatsError)]

    def _outcome(self, tree: Tree, program: Program) -> Outcome:
        key = (tree.name, program.name)
        if key not in self._known:
            try:
                self._known[key] = list(programs.desired(tree, [program], self.sources, architecture(tree, program)))
            except JobstatsError as error:
                self._known[key] = error
        return self._known[key]


def architecture(tree: Tree, program: Program) -> str:
    """The processor that an image is for. One that has no programs of its own (a simulated one) is taken to be for the
    only one that the site has the artifact for, or for the head node's."""
    supplies = program.artifact.supplies
    return elf.of_tree(tree.root) or (next(iter(supplies)) if len(supplies) == 1 else platform.machine())


def _as_recorded(tree: Tree, program: Program) -> list[Resource]:
    entry = Manifest(tree.root, tree.manifest).entries.get(program.path, {})
    if entry.get("type") != PROGRAM:
        return []
    values = {**{key: value for key, value in entry.items() if key != "type"}, MANAGED: True}
    return [Resource(ProgramProvider.kind, f"{tree.name}:{program.path}", values, mark=MANAGED, whole=True)]
