"""What a definition knows of its exporter's project: where releases lie, and which versions go with which others."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Optional

from bcm_jobstats import data
from bcm_jobstats.site import kinds, words
from bcm_jobstats.site.artifacts import ARCHITECTURES, MEMBER, PACKAGE, VERSION, Artifact, Supply
from bcm_jobstats.site.settings import optional, required, setting
from bcm_jobstats.site.structure import MapOf
from bcm_jobstats.site.versions import below
from bcm_jobstats.stack import render

GO = {"x86_64": "amd64", "aarch64": "arm64"}
"""Architectures as projects written in Go call them."""
FAMILY = kinds.Choice("debian", "redhat", "suse")


@dataclass(frozen=True)
class Upstream:
    """A project's releases. `url` and `member` are jinja2, with version, arch (amd64) and machine (x86_64)."""

    project: Optional[str] = optional(words.URL, "The project's page, for people.")
    url: Optional[str] = optional(words.ARGUMENT, "Where a release lies: an archive, or without `member` the program.")
    member: Optional[str] = optional(words.ARGUMENT, "The program's name in that archive.")
    package: Mapping[str, str] = setting(
        {}, MapOf(FAMILY, PACKAGE), "Family of distributions -> the name of the project's package."
    )

    def url_of(self, version: str, machine: str) -> Optional[str]:
        """Where the release of a version lies for x86_64 or aarch64; None where the project publishes none."""
        return self.url and _filled(self.url, version, machine)

    def member_of(self, version: str, machine: str) -> Optional[str]:
        """The program's name in the archive of a release; None where it is not known."""
        return self.member and _filled(self.member, version, machine)


def _filled(text: str, version: str, machine: str) -> str:
    values = {"version": version, "arch": GO[machine], "machine": machine}
    return "".join(render.words([text], values, data.path("overlays")))


def completed(artifact: Artifact, upstream: Upstream) -> Artifact:
    """The site's artifact with what the definition knows of the project's releases where the site leaves it out."""
    found = {
        machine: _completed(supply, upstream, artifact.version, machine)
        for machine, supply in artifact.supplies.items()
    }
    return dataclasses.replace(artifact, x86_64=found.get("x86_64"), aarch64=found.get("aarch64"))


def _completed(supply: Supply, upstream: Upstream, version: str, machine: str) -> Supply:
    # The address is that of an archive where it is known what to take out of it, else that of the program itself.
    released = "archive" if upstream.member else "file"
    url = upstream.url_of(version, machine) if supply.kind == released else None
    member = upstream.member_of(version, machine) if supply.kind == "archive" else None
    return dataclasses.replace(supply, url=supply.url or url, member=supply.member or member)


def problems(upstream: Upstream) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the templates as (setting, cause, remedy), found by filling them in."""
    values = {"version": "1.0", "arch": "amd64", "machine": "x86_64"}
    for name, kind in (("url", words.URL), ("member", MEMBER)):
        text = getattr(upstream, name)
        cause, remedy = render.trial(text, data.path("overlays"), values) if text else ("", "")
        if not cause and text:
            filled = [_filled(text, "1.0", machine) for machine in ARCHITECTURES]
            broken = [one for one in filled if not re.fullmatch(kind.pattern, one)]
            cause, remedy = (f"{broken[0]!r} is not {kind.what}", kind.hint) if broken else ("", "")
        if cause:
            yield name, cause, remedy


@dataclass(frozen=True)
class Pair:
    """Versions of an exporter that work with certain versions of another program only. Ends are open where unset."""

    needs: str = required(words.ARGUMENT, "The other program.")
    since: Optional[str] = optional(VERSION, "The oldest of these versions of the exporter.")
    before: Optional[str] = optional(VERSION, "The oldest version of the exporter that is none of them any more.")
    at_least: Optional[str] = optional(VERSION, "The oldest version of the other program that works with them.")
    below: Optional[str] = optional(VERSION, "The oldest version of the other program that works no more.")
    note: str = setting("", words.ARGUMENT, "What else to know of these versions, in one line.")

    def covers(self, version: str) -> bool:
        """Whether it is about this version of the exporter."""
        return not (self.since and below(version, self.since)) and (not self.before or below(version, self.before))

    def fits(self, other: str) -> bool:
        """Whether this version of the other program works with them."""
        return not (self.at_least and below(other, self.at_least)) and (not self.below or below(other, self.below))
