"""What is wrong where the site's artifacts and recipes meet the definitions: all of it without a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from bcm_jobstats.site.artifacts import Artifact
from bcm_jobstats.site.known import Known, KnownExporter
from bcm_jobstats.site.problems import Problem, did_you_mean
from bcm_jobstats.site.versions import below

if TYPE_CHECKING:
    from bcm_jobstats.site.schema import Site


def problems(site: Site, known: Known) -> Iterator[Problem]:
    """Everything wrong in `recipes`, `artifacts` and in the recipes themselves."""
    for category, recipe in site.recipes.items():
        if recipe not in known.recipes:
            remedy = did_you_mean(recipe, known.recipes)
            yield _problem(site, f"recipes.{category}", f"there is no recipe {recipe}", remedy)
    wanted = {name for recipe in known.recipes.values() for name in recipe.artifacts}
    for name, artifact in site.artifacts.items():
        if name in known.exporters:
            yield from _exporter(site, name, artifact, known.exporters[name])
        elif name in wanted:
            yield from _other(site, name, artifact)
        else:
            remedy = did_you_mean(name, {*known.exporters, *wanted}) or "name it in a recipe's artifacts"
            yield _problem(site, f"artifacts.{name}", "no exporter has this name and no recipe wants it", remedy)
    for recipe_name in known.recipes:
        yield from _recipe(site, known, recipe_name)


def _problem(site: Site, path: str, cause: str, remedy: str) -> Problem:
    return Problem(site.origin.file, site.origin.line(path), f"{path}: {cause}", remedy)


def _exporter(site: Site, name: str, artifact: Artifact, exporter: KnownExporter) -> Iterator[Problem]:
    path = f"artifacts.{name}"
    own = site.exporters[name].binary if name in site.exporters else None
    binary = own or exporter.binary
    if artifact.path and artifact.path != binary:
        cause = f"{artifact.path} is not {binary}, which the service starts"
        yield _problem(site, f"{path}.path", cause, f"leave it out, or set exporters.{name}.binary")
    if exporter.minimum_version and below(artifact.version, exporter.minimum_version):
        cause = f"{artifact.version} is older than {exporter.minimum_version}, the oldest that works"
        yield _problem(site, f"{path}.version", cause, f"take a newer one; why: {exporter.where}")
    if not exporter.upstream.member:
        yield from _members(site, path, artifact)


def _other(site: Site, name: str, artifact: Artifact) -> Iterator[Problem]:
    kinds = {supply.kind for supply in artifact.supplies.values()}
    if not artifact.path and kinds != {"package"}:
        remedy = f"add it, such as path: /usr/local/bin/{name}"
        yield _problem(site, f"artifacts.{name}", "path is missing: no exporter says where it belongs", remedy)
    yield from _members(site, f"artifacts.{name}", artifact)


def _members(site: Site, path: str, artifact: Artifact) -> Iterator[Problem]:
    for architecture, supply in artifact.supplies.items():
        if supply.archive and not supply.member:
            remedy = "add it: the program's name in the archive, as `tar tf` or `unzip -l` shows it"
            yield _problem(site, f"{path}.{architecture}", "member is missing", remedy)


def _recipe(site: Site, known: Known, name: str) -> Iterator[Problem]:
    recipe = known.recipes[name]
    roles = {exporter.role for exporter in known.exporters.values()}
    roles |= {str(own.role) for own in site.exporters.values() if own.role}
    places: Mapping[str, tuple[tuple[str, ...], set[str], str]] = {
        "roles": (recipe.roles, roles, "no exporter belongs to role {}"),
        "artifacts": (recipe.artifacts, set(site.artifacts), "the site file has no artifact {}"),
    }
    for place, (named, there, cause) in places.items():
        for index, one in enumerate(named):
            if one not in there:
                where = f"{place}[{index}]"
                remedy = did_you_mean(one, there) or "add it to the site file, or remove it here"
                line = recipe.origin.line(where)
                yield Problem(recipe.origin.file, line, f"{where}: {cause.format(one)}", remedy)
