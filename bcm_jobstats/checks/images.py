"""What of the exporters is installed in the software images: versions that work, and that go with one another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Optional

from bcm_jobstats.errors import JobstatsError
from bcm_jobstats.imaging import elf, managers, payload
from bcm_jobstats.imaging.chroot import Chroot
from bcm_jobstats.imaging.contents import Content
from bcm_jobstats.imaging.installed import installed_version
from bcm_jobstats.imaging.manifest import BadManifest, Manifest
from bcm_jobstats.imaging.trees import Tree
from bcm_jobstats.site.versions import below, numbers
from bcm_jobstats.slurm.findings import ERROR, NOTE, WARNING, Finding
from bcm_jobstats.stack import Stack
from bcm_jobstats.stack.definitions import Exporter

PACKAGES = {"DCGM": ("datacenter-gpu-manager-4-core", "datacenter-gpu-manager")}
"""The packages by whose version another program is told: DCGM's of major version 4, and those before (peers C7)."""


def findings(stack: Stack, trees: Collection[Tree], wanted: Mapping[str, Content]) -> Iterator[Finding]:
    """What is wrong with the exporters in every image whose nodes have a role of ours, and images that are not apart;
    `wanted`: image -> its roles."""
    yield from _shared(trees)
    for tree in trees:
        roles = wanted[tree.name].roles if tree.name in wanted else ()
        exporters = [exporter for role in stack.roles() if role.name in roles for exporter in role.exporters]
        if exporters:
            yield from _of_image(stack, tree, wanted[tree.name], exporters)


def _shared(trees: Collection[Tree]) -> Iterator[Finding]:
    """Images in one directory, or one in another's: what is done to the one happens to the other."""
    roots: dict[Path, Tree] = {}
    for tree in trees:
        other = roots.setdefault(tree.root.resolve(), tree)
        if other is not tree:
            remedy = "Give one a directory of its own. Do not remove either with its data (remove -d) in cmsh."
            yield Finding(ERROR, _subject(tree), f"has the same directory as {other.name}, {tree.shown}", remedy)
    for root, tree in roots.items():
        above = next((roots[parent] for parent in root.parents if parent in roots), None)
        if above is not None:
            remedy = "Give it a directory outside of that."
            yield Finding(ERROR, _subject(tree), f"lies in the directory of {above.name}, {above.shown}", remedy)


def _of_image(stack: Stack, tree: Tree, content: Content, exporters: Collection[Exporter]) -> Iterator[Finding]:
    try:
        manifest = Manifest(tree.root, tree.manifest)
    except BadManifest as error:
        yield Finding(ERROR, error.subject, error.cause, error.remedy)
        return
    brought = {program.path for program in payload.programs(stack, content)}
    named = {name for exporter in exporters for name in exporter.upstream.package.values()}
    there = _packages(tree, named.union(*PACKAGES.values()))
    unknown = []
    for exporter in exporters:
        if elf.inside(tree.root, exporter.binary) is None:
            if exporter.binary not in brought:
                cause = f"has no program {exporter.binary}, which {exporter.name} runs"
                yield Finding(
                    WARNING, _subject(tree), cause, "Install it there, or name it under artifacts in the site file."
                )
            continue
        version = _version(tree.root, manifest, exporter, there)
        if version is None:
            unknown.append(exporter.name)
            continue
        yield from _too_old(tree, exporter, version)
        yield from _pairs(tree, exporter, version, there)
    if unknown:
        cause = f"the versions of {', '.join(unknown)} are not known: they do not tell, or only root can ask them"
        yield Finding(NOTE, _subject(tree), cause)


def _too_old(tree: Tree, exporter: Exporter, version: str) -> Iterator[Finding]:
    least = exporter.minimum_version
    if least and below(version, least):
        cause = f"{exporter.name} is {version}, and works with job statistics from {least} on"
        yield Finding(ERROR, _subject(tree), cause, f"Install {least} or newer in the image.")


def _pairs(tree: Tree, exporter: Exporter, version: str, there: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the version goes with the other program that it needs, and what else to know of it."""
    pair = exporter.pair(version)
    if pair is None:
        return
    other = next((there[name] for name in PACKAGES.get(pair.needs, ()) if name in there), None)
    ends = ((">=", pair.at_least), ("<", pair.below))
    range_ = ", ".join(f"{sign} {end}" for sign, end in ends if end)
    if other is None:
        cause = f"{exporter.name} {version} needs {pair.needs} {range_}, and no package of the image tells its version"
        yield Finding(NOTE, _subject(tree), cause)
    elif not pair.fits(other):
        cause = f"{exporter.name} {version} needs {pair.needs} {range_}, and {other} is installed"
        yield Finding(
            ERROR, _subject(tree), cause, f"Install the {exporter.name} that was built for it, or that {pair.needs}."
        )
    if pair.note:
        remedy = (
            f"bcm-jobstats' own rules know the names before: pin {exporter.name} below {pair.since}."
            if pair.since
            else ""
        )
        yield Finding(WARNING, _subject(tree), f"{exporter.name} is {version}: {pair.note}", remedy)


def _version(root: Path, manifest: Manifest, exporter: Exporter, there: Mapping[str, str]) -> Optional[str]:
    """By the manifest when we installed it, else by its package, else as the program tells it."""
    entry = manifest.entries.get(exporter.binary, {})
    told = [str(entry.get("version", "")), *(there.get(name, "") for name in exporter.upstream.package.values())]
    return next((one for one in told if numbers(one)), None) or installed_version(root, exporter)


def _packages(tree: Tree, names: Collection[str]) -> Mapping[str, str]:
    """Name -> version of those that are installed; none where the image does not tell."""
    try:
        return managers.of_tree(Chroot(tree.root), tree.shown).versions(names)
    except JobstatsError:
        return {}


def _subject(tree: Tree) -> str:
    return f"software image {tree.name}"
